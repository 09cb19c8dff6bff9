"""Self-attention K/V in a buffer that doubles when it is full."""

from dataclasses import dataclass

import torch

from .strategy import Strategy, register


class TwiceStore:
    past_only = True

    def __init__(self, shape):
        self._size = shape.batch, shape.heads, 1, shape.head_size
        self._like = {"dtype": shape.dtype, "device": shape.device}
        self.reset()

    def reset(self):
        self._k, self._v = torch.empty(self._size, **self._like), torch.empty(self._size, **self._like)

    def append(self, k_BHTK, v_BHTK, step):
        self._k = self._write(self._k, k_BHTK, step)
        self._v = self._write(self._v, v_BHTK, step)
        return self._k[:, :, : step.length], self._v[:, :, : step.length]

    def _write(self, held, new, step):
        batch, heads, capacity, size = held.shape
        rows = step.query_offset
        if step.length > capacity:
            larger = held.new_empty(batch, heads, 1 << (step.length - 1).bit_length(), size)
            larger[:, :, :rows] = held[:, :, :rows]
            held = larger
        held[:, :, rows : step.length] = new
        return held

    def key_position_M(self, step):
        return torch.arange(step.length, device=self._k.device)

    def select(self, parent_B, step):
        self._k = self._k.index_select(0, parent_B)
        self._v = self._v.index_select(0, parent_B)

    def nbytes(self, length):
        reserved = 2 * self._k.nbytes
        return reserved, reserved // self._k.shape[2] * length


@register("twice_kv")
@dataclass(frozen=True)
class TwiceKV(Strategy):
    """Self-attention K/V in a buffer that doubles when it is full."""

    def self_kv(self, shape):
        return TwiceStore(shape)

    def rows_reserved(self, k):
        return 1 << (k - 1).bit_length()

    def rows_copied(self, k):
        return k - 1 if k > 1 and self.rows_reserved(k) > self.rows_reserved(k - 1) else 0

    def rows_reordered(self, k):
        return self.rows_reserved(k)
