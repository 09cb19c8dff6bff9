"""How products with weights are computed: by torch's own kernel, or one that reads a copy of the weight in its layout.

All strategies of a cell share the kernel, which decides how fast weights are read and changes results by rounding
alone. Products of activations (attention) are none of its business. A packed copy comes beside the plain weight, which
the embedding and other row counts go on using.

| kernel | layout of its copy | from |
|---|---|---|
| torch | none | ``torch.nn.functional.linear`` |
| transposed | [in, out], rows of outputs side by side | ``torch.addmm`` or ``@`` |
| onednn | blocks chosen by oneDNN | ``torch.ops.mkldnn._linear_pointwise``, as torch's compiler calls it |
| mkl | panels chosen by MKL for one number of rows; others take torch's | ``torch.ops.mkl._mkl_linear``, likewise |
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelError
from .encoder_decoder import EncoderDecoder, Head

Apply = Callable[[Tensor], Tensor]
LINEARS = ("torch", "transposed", "onednn", "mkl")


def use_linear(model: EncoderDecoder, kind: str, rows: int) -> int:
    """Compute the model's linear products by ``kind``; returns the bytes of its copies of weights.

    ``rows`` are those that a cached step feeds: the batch. Call once, on a model in inference mode. Raises ModelError
    for a kernel that is not known, that this build of torch does not have, or that cannot take the model's type or
    device.
    """
    if kind not in LINEARS:
        raise ModelError(f"linear={kind} is not known; known: {', '.join(LINEARS)}")
    if kind == "torch":
        return 0
    _require(model, kind)
    held = 0
    for module in _products(model):
        weight, bias = module.weight, getattr(module, "bias", None)
        try:
            apply, copy_bytes = _KERNELS[kind](weight, bias, rows)
        except (RuntimeError, AttributeError) as error:
            raise ModelError(
                f"linear={kind} cannot take a weight of {list(weight.shape)} here: {_first(error)}"
            ) from None
        vars(module)["project" if isinstance(module, Head) else "forward"] = apply
        held += copy_bytes
    return held


def _products(model: EncoderDecoder) -> Iterator[nn.Linear | Head]:
    return (module for module in model.modules() if isinstance(module, nn.Linear | Head))


def _require(model: EncoderDecoder, kind: str) -> None:
    weight = model.embedding.weight
    if kind == "transposed":
        return
    if weight.device.type != "cpu":
        raise ModelError(f"linear={kind} runs on the CPU alone, not on {weight.device.type}; give linear=torch")
    if weight.dtype != torch.float32:
        raise ModelError(f"linear={kind} takes float32 weights, not {weight.dtype}; give linear=torch, or dtype=fp32")
    backend = torch.backends.mkldnn if kind == "onednn" else torch.backends.mkl
    if not backend.is_available():
        raise ModelError(f"linear={kind}: this build of torch has none; give linear=torch or linear=transposed")


def _transposed(weight: Tensor, bias: Tensor | None, rows: int) -> tuple[Apply, int]:
    weight_DX = weight.t().contiguous()

    def apply(x: Tensor) -> Tensor:
        return x @ weight_DX if bias is None else (x @ weight_DX).add_(bias)

    return apply, weight_DX.nbytes


def _onednn(weight: Tensor, bias: Tensor | None, rows: int) -> tuple[Apply, int]:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight.detach(), rows)
    call = torch.ops.mkldnn._linear_pointwise.default

    def apply(x: Tensor) -> Tensor:
        return call(x, packed, bias, "none", [], "")

    return apply, weight.nbytes


def _mkl(weight: Tensor, bias: Tensor | None, rows: int) -> tuple[Apply, int]:
    plain = weight.detach()
    packed = torch.ops.mkl._mkl_reorder_linear_weight(plain, rows)
    call = torch.ops.mkl._mkl_linear.default

    def apply(x: Tensor) -> Tensor:
        if x.numel() != rows * x.shape[-1]:
            return F.linear(x, plain, bias)
        return call(x, packed, plain, bias, rows)

    return apply, weight.nbytes


_KERNELS: dict[str, Callable[[Tensor, Tensor | None, int], tuple[Apply, int]]] = {
    "transposed": _transposed,
    "onednn": _onednn,
    "mkl": _mkl,
}


def _first(error: Exception) -> str:
    return str(error).splitlines()[0]
