"""The kernels by name. Each turns a weight into a function that multiplies by it, most of them by a copy they make.

``linears`` describes the kernels and has a model use one; the probes time them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from ..head import Head
from ..held import Replacement
from ..message_text import first_line
from . import one_row
from .compiling import CompileError
from .custom_operator import Apply, opaque
from .native.compiler import why_unavailable
from .native.model import one_product
from .native.stages import kernels
from .packed import Packed

KERNELS = ("torch", "transposed", "onednn", "mkl", "fused", "panel")
READ_PLAIN = {"torch", "mkl", "fused"}
"""Kernels that read the plain weight, for some numbers of rows at least."""
ANYWHERE = ("torch", "transposed")
"""Kernels that run on every device and take every type."""


@dataclass(frozen=True)
class Choice:
    """What ``linear=auto`` chose for weights of one shape, [out, in], up to ``rows_max`` rows (None: any number).

    ``ratio`` is the kernel's time over that of torch's kernel in the probe. A choice that is ``compiled`` holds in
    compiled steps alone, where it takes precedence over the other choices, and its ``ratio`` is over their time.
    """

    weight: tuple[int, ...]
    rows_max: int | None
    kernel: str
    ratio: float
    compiled: bool = False


def products(model: nn.Module) -> Iterator[nn.Linear | Head]:
    """The modules that multiply by a weight, in the order of the model's parts."""
    return (module for module in model.modules() if isinstance(module, nn.Linear | Head))


def multiply_by(module: nn.Linear | Head, apply: Apply) -> None:
    """Have the module's product computed by ``apply``, [..., in] -> [..., out]."""
    vars(module)["project" if isinstance(module, Head) else "forward"] = apply


def pack(module: nn.Linear | Head, kind: str, rows: int) -> Packed:
    """Return the module's product by this kernel.

    Raises ModelError if the kernel cannot take the weight.
    """
    weight, bias = module.weight, getattr(module, "bias", None)
    try:
        return _PACK[kind](weight.detach(), bias, rows)
    except (RuntimeError, AttributeError) as error:
        shape = list(weight.shape)
        raise ModelError(f"linear={kind} cannot take a weight of {shape} here: {first_line(error)}") from None


def by_rows(table: Iterable[tuple[int | None, Apply]]) -> Apply:
    """A product that chooses by the number of rows: the first of ``table`` whose limit (None: none) is not exceeded."""
    kept: list[tuple[float, Apply]] = []
    for limit, apply in table:
        if kept and kept[-1][1] is apply:
            kept.pop()
        kept.append((math.inf if limit is None else limit, apply))
    if len(kept) == 1:
        return kept[0][1]

    last = kept[-1][1]

    def choose(x: Tensor) -> Tensor:
        rows = x.numel() // x.shape[-1]
        for limit, apply in kept[:-1]:
            if rows <= limit:
                return apply(x)
        return last(x)

    return choose


def unavailable_on(device: str, kind: str, dtype: torch.dtype = torch.float32) -> str:
    """Why no model of ``dtype`` can use this kernel, or ``auto``, on ``device`` here; "" if one can.

    It is one line with a remedy.

    >>> unavailable_on("cuda", "mkl"), unavailable_on("cuda", "transposed")
    ('linear=mkl runs on the CPU alone, not on cuda; give linear=torch or linear=transposed', '')
    """
    if kind in ANYWHERE:
        return ""
    if device == "cpu":
        return "" if kind == "auto" else _unavailable_on_cpu(kind, dtype)
    if kind == "auto":
        return (
            f"linear=auto chooses on the CPU alone, not on {device}, where its probe would time launches instead of "
            "kernels; give linear=torch or linear=transposed"
        )
    return f"linear={kind} runs on the CPU alone, not on {device}; give linear=torch or linear=transposed"


def unavailable(model: EncoderDecoder, kind: str) -> str:
    """Why this kernel, or ``auto``, cannot serve the model here, as ``unavailable_on`` says it; "" if it can."""
    weight = model.embedding.weight
    return unavailable_on(weight.device.type, kind, weight.dtype)


def _unavailable_on_cpu(kind: str, dtype: torch.dtype) -> str:
    if dtype != torch.float32:
        return f"linear={kind} takes float32 weights, not {dtype}; give linear=torch, or dtype=fp32"
    if kind == "fused":
        return ""
    if kind == "panel":
        return why_unavailable()
    backend = torch.backends.mkldnn if kind == "onednn" else torch.backends.mkl
    if not backend.is_available():
        return f"linear={kind}: this build of torch has no such kernel; give linear=torch or linear=transposed"
    return ""


def can_pack(kind: str) -> bool:
    """Whether the kernel can be made here; where ``panel`` cannot be compiled, it cannot."""
    if kind != "panel":
        return True
    try:
        kernels()
    except CompileError:
        return False
    return True


def _torch(weight: Tensor, bias: Tensor | None, rows: int) -> Packed:
    def apply(x: Tensor) -> Tensor:
        return F.linear(x, weight, bias)

    return Packed(apply, 0)


def _transposed(weight: Tensor, bias: Tensor | None, rows: int) -> Packed:
    weight_DX = weight.t().contiguous()

    def apply(x: Tensor) -> Tensor:
        return x @ weight_DX if bias is None else (x @ weight_DX).add_(bias)

    return Packed(apply, weight_DX.nbytes, Replacement([weight_DX], lambda: weight_DX.t().contiguous()))


def _onednn(weight: Tensor, bias: Tensor | None, rows: int) -> Packed:
    packed = torch.ops.mkldnn._reorder_linear_weight(weight, rows)
    call = torch.ops.mkldnn._linear_pointwise.default

    def apply(x: Tensor) -> Tensor:
        return call(x, packed, bias, "none", [], "")

    # Its tensor has a layout that no other operator reads, so none is told of that holds the weight.
    return Packed(opaque(apply, len(weight)), weight.nbytes, Replacement([], packed.to_dense))


def _mkl(weight: Tensor, bias: Tensor | None, rows: int) -> Packed:
    packed = torch.ops.mkl._mkl_reorder_linear_weight(weight, rows)
    call = torch.ops.mkl._mkl_linear.default

    def apply(x: Tensor) -> Tensor:
        if x.numel() != rows * x.shape[-1]:
            return F.linear(x, weight, bias)
        return call(x, packed, weight, bias, rows)

    return Packed(opaque(apply, len(weight)), weight.nbytes)


def _fused(weight: Tensor, bias: Tensor | None, rows: int) -> Packed:
    return Packed(one_row.at_one_row(one_row.product(weight, bias), _torch(weight, bias, rows).apply), 0)


def _panel(weight: Tensor, bias: Tensor | None, rows: int) -> Packed:
    return Packed(*one_product(weight, bias))


_PACK: dict[str, Callable[[Tensor, Tensor | None, int], Packed]] = {
    "torch": _torch,
    "transposed": _transposed,
    "onednn": _onednn,
    "mkl": _mkl,
    "fused": _fused,
    "panel": _panel,
}
