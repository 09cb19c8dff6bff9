"""A self-attention KV cache of 8 or 4 bits per element, in buffers that are allocated once and written in place.

A row of a head, K and V apart, is divided by a scale of its own and rounded to whole numbers, its codes. They lie
evenly on both sides of zero: -127 to 127 for 8 bits, -7 to 7 for 4 bits, of which two share a byte. The scale takes the
largest element of the row to the largest code, and is kept in the model's type. Rows are multiplied out again whenever
they are read.

FlexGen keeps K and V in 4 bits (Sheng et al. 2023, arXiv 2303.06865). KIVI and KVQuant (Liu et al. 2024, arXiv
2402.02750; Hooper et al. 2024, arXiv 2401.18079) find that channels of K differ in size more than rows do, and give K a
scale per channel. A channel's scale depends on rows to come, so both wait for a group of rows or calibrate beforehand.
A scale per row needs neither, and loses more of K.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import ClassVar, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from .models.stores import KVShape, SelfKV, Step
from .static_kv import BufferKV, Read, StaticStore
from .strategy import register

Bits = Literal[8, 4]


def code_bytes(size: int, bits: Bits) -> int:
    """Bytes of the codes of ``size`` elements. With 4 bits an odd size leaves half of the last byte unused."""
    return size if bits == 8 else (size + 1) // 2


def quantised(x_BGTK: Tensor, bits: Bits) -> tuple[Tensor, Tensor]:
    """Codes of each row, int8 [B, G, T, ``code_bytes``], and its scale in the type of ``x_BGTK``, [B, G, T, 1].

    A code times its scale is within half of the scale of its element, unless that is next to the largest number of its
    type. A scale
    is kept so large that a row of zeros is divided by no zero, and so small that its product with the largest code is
    finite.
    """
    levels, limits = 2 ** (bits - 1) - 1, torch.finfo(x_BGTK.dtype)
    wide_BGTK = x_BGTK.to(torch.promote_types(x_BGTK.dtype, torch.float32))
    largest_BGT1 = wide_BGTK.abs().amax(-1, keepdim=True)
    highest = limits.max * (1 - limits.eps) / levels
    scale_BGT1 = (largest_BGT1 / levels).clamp_(limits.smallest_normal, highest).to(x_BGTK.dtype)
    code_BGTK = (wide_BGTK / scale_BGT1).round_().clamp_(-levels, levels).to(torch.int8)
    return code_BGTK if bits == 8 else _packed(code_BGTK), scale_BGT1


def expanded(code_BGMX: Tensor, scale_BGM1: Tensor, bits: Bits, size: int) -> Tensor:
    """The rows that codes and scales stand for, [B, G, M, ``size``], rounded to the type of the scales."""
    code_BGMK = code_BGMX if bits == 8 else _unpacked(code_BGMX, size)
    # In two operators, because torch multiplies an integer by a float ten times slower on the CPU.
    return code_BGMK.to(scale_BGM1.dtype).mul_(scale_BGM1)


def _packed(code_BGTK: Tensor) -> Tensor:
    """Codes of 4 bits, two to a byte: the first half of a row in the low bits, the second half in the high bits.

    There they count from -8, so that both are whole numbers without a sign.
    """
    if code_BGTK.shape[-1] % 2:
        code_BGTK = F.pad(code_BGTK, (0, 1))
    low_BGTX, high_BGTX = code_BGTK.chunk(2, -1)
    return (16 * high_BGTX + low_BGTX + 8).bitwise_xor_(-128)  # the highest bit turned makes 8 more of high


def _unpacked(byte_BGMX: Tensor, size: int) -> Tensor:
    """The codes that ``_packed`` packed, int8 [B, G, M, ``size``].

    torch's compiler makes a loop of its own of each part of ``cat``. What it does inside the loop that reads the codes
    is to shift each byte by 0 and by 4 bits, for which eager operators take several times as long.
    """
    if torch.compiler.is_compiling():
        shift_21 = torch.arange(0, 8, 4, dtype=torch.int8, device=byte_BGMX.device)[:, None]
        half_BGMK = (byte_BGMX[..., None, :] >> shift_21).bitwise_and(15).flatten(-2)
    else:
        half_BGMK = torch.cat((byte_BGMX & 15, (byte_BGMX >> 4).bitwise_and_(15)), -1)
    return half_BGMK.sub_(8)[..., :size]


class QuantizedStore:
    """K and V of one layer as codes and scales, each in a ``StaticStore`` of its own."""

    def __init__(self, shape: KVShape, capacity: int, read: Read, bits: Bits) -> None:
        size = code_bytes(shape.head_size, bits)
        self._codes = StaticStore(dataclasses.replace(shape, head_size=size, dtype=torch.int8), capacity, read)
        self._scales = StaticStore(dataclasses.replace(shape, head_size=1), capacity, read)
        self._bits, self._size = bits, shape.head_size
        self.past_only, self.side = self._codes.past_only, self._codes.side

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Write the new rows as codes and scales, and multiply out every row that is read."""
        (k_code, k_scale), (v_code, v_scale) = quantised(k_BGTK, self._bits), quantised(v_BGTK, self._bits)
        codes = self._codes.append(k_code, v_code, step)
        scales = self._scales.append(k_scale, v_scale, step)
        k_BGMK, v_BGMK = (expanded(*kept, self._bits, self._size) for kept in zip(codes, scales, strict=True))
        return k_BGMK, v_BGMK

    def key_position_M(self, step: Step) -> Tensor:
        """Positions 0 to M - 1, int64 [M]."""
        return self._codes.key_position_M(step)

    def select(self, parent_B: Tensor, step: Step) -> None:
        """Copy the filled rows of codes and scales into the other buffers, in the new order."""
        self._codes.select(parent_B, step)
        self._scales.select(parent_B, step)
        self.side = self._codes.side

    def reset(self) -> None:
        """Do nothing: rows beyond the length are never attended, so old ones need not be cleared."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """Bytes (reserved, used) of codes and scales."""
        codes, scales = self._codes.nbytes(length), self._scales.nbytes(length)
        return codes[0] + scales[0], codes[1] + scales[1]


@register("quantized_kv")
@dataclass(frozen=True)
class QuantizedKV(BufferKV):
    """Self-attention K/V in 8 or 4 bits, preallocated; cross-attention K/V cached.

    Approximate: each element of K and V is rounded to a whole multiple of a scale, the largest element of its row and
    head over 127 (8 bits) or 7 (4 bits), which moves it by up to half of that scale, and then to the model's type.
    """

    bits: Bits = 8

    exact: ClassVar[bool] = False

    def self_kv(self, shape: KVShape) -> SelfKV:
        """Buffers of ``capacity`` rows of codes and scales per sequence; with beams, two of each."""
        return QuantizedStore(shape, self._rows, self.read, self.bits)

    def kv_row_bytes(self, shape: KVShape) -> int:
        """Codes and a scale, of each head, for K and for V."""
        return 2 * shape.heads * (code_bytes(shape.head_size, self.bits) + shape.dtype.itemsize)

    def rows_expanded(self, k: int) -> int:
        """Every key that is read."""
        return self.keys_read(k)

    @property
    def static(self) -> bool:
        """False: what is attended is made anew at each step, though it is made of buffers that stay in place."""
        return False
