"""Products of a single row with weights, written out for torch's compiler as multiply and sum.

A product of one row needs no blocks and no packed copy; it reads the weight once, front to back. In compiled code a
library's product remains a call, around which threads start and stop. A product that is written out becomes a loop, and
a whole step becomes one function in which the threads go from loop to loop. This serves float32 rows on the CPU alone:
elsewhere, and in eager steps, library kernels are better. The exception is an int8 weight on a GPU, for which torch has
no fast kernel (``dequantised``).
"""

from __future__ import annotations

from functools import reduce

import torch
from torch import Tensor

from ..one_position import is_written_out
from .custom_operator import Apply


def at_one_row(written: Apply, otherwise: Apply) -> Apply:
    """A product that is ``written`` for a single row [..., in] of a compiled step, and ``otherwise`` for all else."""

    def apply(x: Tensor) -> Tensor:
        if is_written_out(x) and x.numel() == x.shape[-1]:
            return written(x)
        return otherwise(x)

    return apply


def product(weight_XD: Tensor, bias: Tensor | None) -> Apply:
    """The product of a row with a weight, [..., D] -> [..., X]."""

    def apply(x: Tensor) -> Tensor:
        return _finished((x.reshape(-1) * weight_XD).sum(-1), bias, x)

    return apply


def interleave(x: Tensor, parts: int) -> Tensor:
    """[..., D] with its columns in the order 0, D / parts, 2 D / parts, ..., 1, D / parts + 1 and so on.

    A 32-bit word of 2 bfloat16 or 4 int8 elements then holds one element of each part of a row. The compiler has fast
    code for words on every processor, but for narrower elements only on some.
    """
    return x.view(*x.shape[:-1], parts, -1).transpose(-1, -2).flatten(-2)


def word_product(narrow_XD: Tensor, bias: Tensor | None, scale_X: Tensor | None = None) -> Apply:
    """The same as ``product``, with an interleaved weight in bfloat16, or in int8 with its scales."""
    parts = 4 // narrow_XD.itemsize
    word_XD = narrow_XD.view(torch.int32)

    def element(part: int) -> Tensor:
        if parts == 2:
            return (word_XD << 16 if part == 0 else word_XD & -(1 << 16)).view(torch.float32)
        return (word_XD << (24 - 8 * part) >> 24).float()

    def apply(x: Tensor) -> Tensor:
        rows = x.reshape(parts, -1).unbind()
        y_X = reduce(torch.add, (row * element(part) for part, row in enumerate(rows))).sum(-1)
        return _finished(y_X if scale_X is None else y_X * scale_X, bias, x)

    return apply


def dequantised(x_D: Tensor, int8_XD: Tensor, scale_X: Tensor, bias_X: Tensor | None) -> Tensor:
    """The product of a float32 row with an int8 weight that has a scale per output, [D] -> [X] in float32.

    On a GPU the compiler makes one reduction of it, which reads a byte per element of the weight.
    """
    y_X = (x_D * int8_XD.float()).sum(-1) * scale_X
    return y_X if bias_X is None else y_X + bias_X


def _finished(y_X: Tensor, bias: Tensor | None, x: Tensor) -> Tensor:
    return (y_X if bias is None else y_X + bias).view(*x.shape[:-1], -1)
