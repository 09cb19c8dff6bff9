"""Self-attention K/V in 8 bits, with a scale per row and head, or in 4 bits, two to a byte."""

from dataclasses import dataclass
from typing import Literal

import torch

from .strategy import Strategy, register


class IntegerStore:
    past_only = True

    def __init__(self, shape, bits):
        width = shape.head_size if bits == 8 else -(-shape.head_size // 2)
        self._bits, self._size, self._most = bits, shape.head_size, 2 ** (bits - 1) - 1
        rows = shape.batch, shape.heads, shape.max_new
        kind = torch.int8 if bits == 8 else torch.uint8
        self._codes = [torch.zeros(*rows, width, dtype=kind, device=shape.device) for _ in "kv"]
        self._scales = [torch.ones(*rows, 1, dtype=shape.dtype, device=shape.device) for _ in "kv"]
        self._held = shape.max_new

    def reset(self):
        pass

    def append(self, k_BGTK, v_BGTK, step):
        return tuple(self._one(place, new, step) for place, new in enumerate((k_BGTK, v_BGTK)))

    def _one(self, place, new_BGTK, step):
        codes, scales, at = self._codes[place], self._scales[place], step.query_position_T()
        scale = new_BGTK.abs().amax(-1, keepdim=True).clamp(min=1e-4) / self._most
        code = (new_BGTK / scale).round()
        if self._bits == 4:
            code = torch.nn.functional.pad(code + 8, (0, -self._size % 2)).to(torch.uint8)
            code = code[..., ::2] | (code[..., 1::2] << 4)
        codes.index_copy_(2, at, code.to(codes.dtype))
        scales.index_copy_(2, at, scale)
        codes, scales = codes[:, :, : step.keys], scales[:, :, : step.keys]
        if self._bits == 8:
            return codes * scales
        low, high = ((half.to(torch.int8) - 8) for half in (codes & 15, codes >> 4))
        return torch.stack((low, high), -1).flatten(-2)[..., : self._size] * scales

    def key_position_M(self, step):
        return torch.arange(step.keys, device=self._codes[0].device)

    def select(self, parent_B, step):
        held = step.length - 1
        for kept in (*self._codes, *self._scales):
            kept[:, :, :held] = kept[:, :, :held].index_select(0, parent_B)

    def nbytes(self, length):
        held = sum(kept.nbytes for kept in (*self._codes, *self._scales))
        return held, held // self._held * length


@register("int8_kv")
@dataclass(frozen=True)
class IntegerKV(Strategy):
    """Self-attention K/V rounded to few bits; what is lost is the precision of K and V."""

    exact = False
    bits: Literal[8, 4] = 8
    rows: int = 0

    def bind(self, max_new):
        return type(self)(self.cross, self.execution, self.bits, max_new, cross_beams=self.cross_beams)

    def self_kv(self, shape):
        return IntegerStore(shape, self.bits)

    def kv_row_bytes(self, shape):
        width = shape.head_size if self.bits == 8 else -(-shape.head_size // 2)
        return 2 * shape.heads * (width + shape.dtype.itemsize)

    def rows_expanded(self, k):
        return k

    def rows_reserved(self, k):
        return self.rows

    def rows_reordered(self, k):
        return 2 * k  # gathered, and copied back
