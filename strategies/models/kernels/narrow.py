"""Weights narrower than activations and K/V, in every product of the model: bfloat16, or int8 with a scale per row.

Only weights are narrower: activations, attention and K/V keep the model's float32. Inside a product, activations are
rounded to bfloat16, because torch's operators take that type. Compiled steps of one row need no such operator and do
not round (``one_row``). The embedding's look-up and the norms use the float32 weights, and no other is kept.

On a GPU torch's operator for int8 is slow. A product of one row is compiled there even in eager and captured steps, and
does not round. A product of more rows multiplies by a bfloat16 copy of the weight that it makes and drops again.

``linear=panel`` has native code for int8 weights (``native``). It rounds activations to int8 too, each row by a scale
of its own, and takes every width and any number of rows.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable

import torch
import torch.nn.functional as F
from torch import Tensor

from ..config import ModelConfig, ModelError
from ..encoder_decoder import EncoderDecoder
from ..held import Replacement, keep_state
from ..message_text import first_line
from . import one_row
from .compiling import CompileError, one_graph, proven, why_not_compiled
from .custom_operator import Apply, opaque
from .execution import forget
from .native.model import use_panels
from .packed import Packed, replace_plain, require_plain
from .packing import multiply_by, products, unavailable
from .quantise import quantise

WEIGHTS = ("fp32", "bf16", "int8")
INNER = {"bf16": 2, "int8": 16}
"""The inputs of a weight, which are a width of the model, must be a multiple of this.

bf16 elements are stored in pairs. torch's int8 product reads 16 elements at a time, even beyond the end of a row.
"""
INT8_INNER_MAX = 2**17
"""The most inputs of a weight in int8 panels: their products of up to 127 * 127 are summed up in 32 bits."""


def why_not_narrow(config: ModelConfig, kind: str, linear: str = "torch") -> str:
    """Say in one line why a model of these widths cannot have weights in ``kind``; "" where it can."""
    encoder, multiple = config.for_encoder, 1 if linear == "panel" else INNER[kind]
    widths = {"d_model": config.d_model, "num_heads * d_kv": config.inner, "d_ff": config.d_ff}
    widths |= {"the encoder's heads * d_kv": encoder.inner, "the encoder's d_ff": encoder.d_ff}
    if linear == "panel" and (wide := max(widths, key=lambda name: widths[name])) and widths[wide] > INT8_INNER_MAX:
        return (
            f"weights={kind} with linear=panel is not allowed with {wide} = {widths[wide]}: it takes widths of at most "
            f"{INT8_INNER_MAX}; give weights=fp32"
        )
    odd = next((name for name, width in widths.items() if width % multiple), None)
    if odd is None:
        return ""
    others = "weights=fp32" if kind == "bf16" or why_not_narrow(config, "bf16") else "weights=bf16 or weights=fp32"
    return (
        f"weights={kind} is not allowed with {odd} = {widths[odd]}: it takes widths that are multiples of {multiple}; "
        f"give {others}"
    )


def why_other_kernel(kind: str, linear: str) -> str:
    """Say in one line why weights in ``kind`` do not go with the kernel ``linear``; "" where they do."""
    if linear == "torch" or (kind == "int8" and linear == "panel"):
        return ""
    panel = ", or give linear=panel" if kind == "int8" else ""
    return f"linear={linear} is not allowed with weights={kind}, which has a kernel of its own; leave linear out{panel}"


def use_weights(model: EncoderDecoder, kind: str, linear: str = "torch") -> int:
    """Have the model multiply by copies of its weights in ``kind``; returns the bytes of the copies.

    ``linear=panel`` goes with int8 on the CPU. Call once, on a float32 model in inference mode. Raises ModelError for
    an unknown kind, another type of model, a width or another kernel that does not go with the kind, and int8 on a GPU
    where torch cannot compile.
    """
    if kind not in WEIGHTS:
        raise ModelError(f"weights={kind} is not known; known: {', '.join(WEIGHTS)}")
    if kind == "fp32":
        return 0
    if (dtype := model.embedding.weight.dtype) != torch.float32:
        raise ModelError(f"weights={kind} takes a float32 model, not {dtype}; give dtype=fp32")
    if why := why_other_kernel(kind, linear) or why_not_narrow(model.config, kind, linear):
        raise ModelError(why)
    if linear == "panel" and (why := unavailable(model, linear)):
        raise ModelError(why)
    require_plain(model)
    forget(model)
    keep_state(model)
    modules, held = list(products(model)), 0
    if linear == "panel":
        replaced = [module for module in modules if module.weight is not model.embedding.weight]
        native, held = use_panels(model, modules, replaced, int8=True)
        for module in modules:
            multiply_by(module, native[module])
        return held
    for module in modules:
        weight, bias = module.weight.detach(), getattr(module, "bias", None)
        packed = _PACK[kind](weight, bias)
        multiply_by(module, packed.apply)
        replace_plain(model, module, packed.replacement)
        held += packed.copy_bytes
    return held


def rounded(weight: Tensor, kind: str, linear: str = "torch") -> Tensor:
    """A float32 weight with the values that products with ``kind`` weights multiply by."""
    if kind == "bf16":
        return weight.bfloat16().float()
    int8_XD, scale_X = quantise(weight, torch.float32 if linear == "panel" else torch.bfloat16)
    return int8_XD.float() * scale_X.float()[:, None]


def _bf16(weight: Tensor, bias: Tensor | None) -> Packed:
    narrow_XD = _laid_out(weight.bfloat16())
    replacement = Replacement([narrow_XD], lambda: _in_order(narrow_XD).float())

    def apply(x: Tensor) -> Tensor:
        y = F.linear(_laid_out(x.bfloat16(), narrow_XD), narrow_XD).float()
        return y if bias is None else y.add_(bias)

    if weight.device.type != "cpu":  # there the compiler can trace the product, and joins the conversions to others
        return Packed(apply, narrow_XD.nbytes, replacement)
    product = one_row.at_one_row(one_row.word_product(narrow_XD, bias), opaque(apply, len(weight)))
    return Packed(product, narrow_XD.nbytes, replacement)


def _int8(weight: Tensor, bias: Tensor | None) -> Packed:
    int8_XD, scales = quantise(weight, torch.bfloat16)
    narrow_XD, copy_bytes = _laid_out(int8_XD), int8_XD.nbytes + scales.nbytes
    replacement = Replacement([narrow_XD, scales], lambda: _in_order(narrow_XD).float() * scales.float()[:, None])
    if weight.device.type != "cpu":
        return Packed(dequantising(int8_XD, scales, bias), copy_bytes, replacement)

    def apply(x: Tensor) -> Tensor:
        rows = _laid_out(x.reshape(-1, x.shape[-1]).bfloat16(), narrow_XD)
        y = torch._weight_int8pack_mm(rows, narrow_XD, scales).float().view(*x.shape[:-1], -1)
        return y if bias is None else y.add_(bias)

    written = one_row.word_product(narrow_XD, bias, scales)
    return Packed(one_row.at_one_row(written, opaque(apply, len(weight))), copy_bytes, replacement)


def dequantising(int8_XD: Tensor, scale_X: Tensor, bias: Tensor | None) -> Apply:
    """The product with an int8 weight on a GPU: of one row by compiled code, of more rows by a bfloat16 copy.

    Raises ModelError if torch cannot compile.
    """
    compiled = _compiled_row(int8_XD, scale_X, bias)

    def apply(x: Tensor) -> Tensor:
        if x.numel() != x.shape[-1]:
            y = F.linear(x.bfloat16(), int8_XD.bfloat16()).float() * scale_X
            return y if bias is None else y.add_(bias)
        row = one_row.dequantised if torch.compiler.is_compiling() else compiled
        return row(x.reshape(-1).contiguous(), int8_XD, scale_X, bias).view(*x.shape[:-1], -1)

    return apply


_COMPILED_ROWS: dict[Hashable, Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]] = {}
"""``one_row.dequantised``, compiled once per shape of weight, with a bias or without, for all models."""


def _compiled_row(
    int8_XD: Tensor, scale_X: Tensor, bias: Tensor | None
) -> Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]:
    """``one_row.dequantised`` for weights of this shape. Set-up compiles it, so that no step has to."""
    key = tuple(int8_XD.shape), bias is None, int8_XD.device
    if key not in _COMPILED_ROWS:
        needs = f"weights=int8 on {int8_XD.device.type} needs torch's compiler"
        if reason := why_not_compiled("give weights=bf16"):
            raise ModelError(f"{needs}: {reason}")
        row = one_graph(one_row.dequantised, int8_XD.device.type)
        try:
            proven(row, torch.zeros(int8_XD.shape[1], device=int8_XD.device), int8_XD, scale_X, bias)
        except (CompileError, torch._dynamo.exc.TorchDynamoException) as error:
            raise ModelError(f"{needs}, which failed: {first_line(error)}; give weights=bf16") from error
        _COMPILED_ROWS[key] = row
    return _COMPILED_ROWS[key]


def _laid_out(x: Tensor, weight: Tensor | None = None) -> Tensor:
    """Lay out a narrow weight, or rows for it, in the order of columns that loops need; only the CPU has loops."""
    if x.device.type != "cpu":
        return x
    return one_row.interleave(x, 4 // (x if weight is None else weight).itemsize)


def _in_order(narrow_XD: Tensor) -> Tensor:
    """Undo ``_laid_out``."""
    if narrow_XD.device.type != "cpu":
        return narrow_XD
    return one_row.interleave(narrow_XD, narrow_XD.shape[-1] * narrow_XD.itemsize // 4)


_PACK: dict[str, Callable[[Tensor, Tensor | None], Packed]] = {"bf16": _bf16, "int8": _int8}
