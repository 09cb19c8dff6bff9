"""Muon in float32: the optimizer of the matrices inside layers; AdamW serves everything else."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

# Jordan et al. 2024, "Muon: An optimizer for hidden layers in neural networks": the quintic that is steep at zero.
_QUINTIC = 3.4445, -4.7750, 2.0315
_ITERATIONS = 5


def orthogonalized(matrix_PXY: Tensor) -> Tensor:
    """Approximate U V^T of each matrix's singular value decomposition, [P, X, Y] -> [P, X, Y].

    Newton-Schulz iterations on the normalised matrix bring most singular values near 1; the smallest of a square matrix
    stay smaller.
    """
    wide = matrix_PXY.shape[1] <= matrix_PXY.shape[2]
    x = matrix_PXY if wide else matrix_PXY.mT
    x = x / x.norm(dim=(1, 2), keepdim=True).clamp(min=1e-7)
    a, b, c = _QUINTIC
    for _ in range(_ITERATIONS):
        gram = x @ x.mT
        x = torch.baddbmm(x, torch.baddbmm(gram, gram, gram, beta=b, alpha=c), x, beta=a)
    return x if wide else x.mT


class Muon(torch.optim.Optimizer):
    """Orthogonalised momentum for matrices (Jordan et al. 2024), scaled to AdamW's step size.

    The update has a root mean square of 0.2 (Liu et al. 2025, arXiv 2502.16982, section 2.2), so AdamW's learning rate
    and weight decay can be used. A group's ``parts`` says how many matrices each of its parameters packs along its
    rows; each matrix is orthogonalised alone. ``torch.optim.Muon`` iterates in bfloat16, which is many times slower on
    a CPU without bfloat16.
    """

    def __init__(self, groups: list[dict[str, Any]], lr: float, weight_decay: float, momentum: float = 0.95) -> None:
        super().__init__(groups, {"lr": lr, "weight_decay": weight_decay, "momentum": momentum, "parts": 1})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]
        """Apply weight decay, then one step along the orthogonalised Nesterov momentum."""
        for group in self.param_groups:
            for weight_XY in group["params"]:
                state = self.state[weight_XY]
                if not state:
                    state["momentum"] = torch.zeros_like(weight_XY)
                state["momentum"].lerp_(weight_XY.grad, 1 - group["momentum"])
                ahead_XY = weight_XY.grad.lerp(state["momentum"], group["momentum"])
                update_PXY = orthogonalized(ahead_XY.unflatten(0, (group["parts"], -1)))
                scale = 0.2 * max(update_PXY.shape[1:]) ** 0.5
                weight_XY.mul_(1 - group["lr"] * group["weight_decay"])
                weight_XY.add_(update_PXY.flatten(0, 1), alpha=-group["lr"] * scale)
