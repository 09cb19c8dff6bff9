"""Weights laid out in panels, side by side in large pages of memory.

A panel holds the weights of 16 outputs (AVX2) or 32 (AVX-512): those of the first input, of the second, and so on. It
is read front to back, and from memory once, whatever the number of rows that it is multiplied by.
"""

from __future__ import annotations

import ctypes
import math
import sys
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ...parameters import padded
from ..quantise import quantise

PAGE_BYTES = 2 << 20
_HUGEPAGE = 14  # MADV_HUGEPAGE of Linux


@dataclass(frozen=True)
class Panels:
    """A weight [N, K] in panels, of float32 or ``int8``, with its bias [N] if it has one."""

    packed: Tensor
    outputs: int
    inner: int
    bias: Tensor | None
    int8: bool = False


class Arena:
    """Memory for packed weights, in pages of 2 MB where the system has them.

    Fewer pages are looked up as a weight is read, and fetching ahead does not end at the end of a small page.
    """

    def __init__(self, floats: int) -> None:
        """Reserve memory for ``floats`` numbers. It is held from when they are written."""
        held = torch.empty(floats + PAGE_BYTES // 4)
        first = -held.data_ptr() % PAGE_BYTES // 4
        self._free = held[first : first + floats]
        if sys.platform == "linux" and floats * 4 >= PAGE_BYTES:
            whole = floats * 4 // PAGE_BYTES * PAGE_BYTES
            ctypes.CDLL(None).madvise(ctypes.c_void_p(self._free.data_ptr()), ctypes.c_size_t(whole), _HUGEPAGE)

    def take(self, floats: int) -> Tensor:
        """The next ``floats`` numbers."""
        taken, self._free = self._free[:floats], self._free[floats:]
        return taken


def pack(arena: Arena, weight_NK: Tensor, bias: Tensor | None, int8: bool = False) -> Panels:
    """Lay out a float32 weight in panels that are taken from ``arena``, rounded to ``int8`` if that is asked for."""
    from .stages import kernels

    outputs, inner = weight_NK.shape
    packed = arena.take(floats_of([(outputs, inner)], int8))
    if int8:
        int8_NK, scale_N = quantise(weight_NK.contiguous(), torch.float32)
        kernels().pack_int8_panels(int8_NK.data_ptr(), scale_N.data_ptr(), inner, outputs, packed.data_ptr())
    else:
        dense_NK = weight_NK.contiguous()
        kernels().pack_panels(dense_NK.data_ptr(), inner, outputs, packed.data_ptr())
    return Panels(packed, outputs, inner, None if bias is None else bias.detach(), int8)


def floats_of(shapes: Sequence[tuple[int, ...]], int8: bool = False) -> int:
    """Numbers of 32 bits that weights of these shapes, [N, K], take in panels.

    Four weights of ``int8`` take one, and each output has two more: its scale, and the sum of its weights.

    >>> floats_of([(33, 6)]), floats_of([(33, 6)], int8=True)
    (384, 256)
    """
    return sum(padded(outputs) * (math.ceil(inner / 4) + 2 if int8 else inner) for outputs, inner in shapes)
