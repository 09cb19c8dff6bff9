"""Attention of a single position, written out for torch's compiler as multiply and sum.

In compiled code a library's kernel remains a call. Attention that is written out becomes a loop, inside the one
function that the compiled step is. This serves float32 on the CPU alone: elsewhere, and in eager steps, library kernels
are better.
"""

from __future__ import annotations

import torch
from torch import Tensor

KEYS = 1024
"""Keys of all sequences together, up to which loops read K and V as fast as ``scaled_dot_product_attention``."""


def is_written_out(x: Tensor) -> bool:
    """Whether ``x`` is float32 on a CPU, in code that is being compiled."""
    return torch.compiler.is_compiling() and x.device.type == "cpu" and x.dtype == torch.float32


def is_attention_written_out(q_BHTK: Tensor, k_BGMK: Tensor) -> bool:
    """Whether ``attention`` is used: for one position, where one sequence or at most ``KEYS`` keys in all are read.

    A length that is dynamic in the compiled code counts as more than ``KEYS``. Beams that share K and V are several
    rows, for each of which a loop would read them again.
    """
    if not is_written_out(q_BHTK) or q_BHTK.shape[2] != 1 or q_BHTK.shape[0] != k_BGMK.shape[0]:
        return False
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # slow to import, and imported by now

    batch, keys = k_BGMK.shape[0], k_BGMK.shape[2]
    return batch == 1 or statically_known_true(batch * keys <= KEYS)


def attention(q_BGXK: Tensor, k_BGMK: Tensor, v_BGMK: Tensor, attn_mask: Tensor | None, scale: float) -> Tensor:
    """Compute ``scaled_dot_product_attention`` for one position per sequence, with X query heads per head of K and V.

    softmax(scale * q k^T + mask) v -> [B, G, X, K]. The mask broadcasts to [B, G, X, M].
    """
    score_BGXM = (q_BGXK[..., None, :] * k_BGMK[:, :, None]).sum(-1) * scale
    if attn_mask is not None:
        score_BGXM = score_BGXM + attn_mask
    return (score_BGXM.softmax(-1)[..., None] * v_BGMK[:, :, None]).sum(-2)
