"""Self-attention K/V in blocks, one more whenever the last is full."""

from dataclasses import dataclass

import torch

from .contiguous_kv import ContiguousStore
from .strategy import Strategy, register


class BlocksStore(ContiguousStore):
    def __init__(self, shape, block):
        super().__init__(shape)
        self._block = block
        self.reset()

    def reset(self):
        self._pages = []

    def append(self, k_BGTK, v_BGTK, step):
        for row in range(step.rows):
            place = (step.query_offset + row) % self._block
            if place == 0:
                size = (*k_BGTK.shape[:2], self._block, k_BGTK.shape[3])
                self._pages.append((k_BGTK.new_zeros(size), k_BGTK.new_zeros(size)))
            for page, new in zip(self._pages[-1], (k_BGTK, v_BGTK), strict=True):
                page[:, :, place : place + 1] = new[:, :, row : row + 1]
        return tuple(torch.cat(pages, dim=2)[:, :, : step.length] for pages in zip(*self._pages, strict=True))

    def select(self, parent_B, step):
        self._pages = [tuple(page.index_select(0, parent_B) for page in pages) for pages in self._pages]

    def nbytes(self, length):
        held = sum(k.nbytes + v.nbytes for k, v in self._pages)
        return held, held and held // (len(self._pages) * self._block) * length


@register("blocks_kv")
@dataclass(frozen=True)
class BlocksKV(Strategy):
    """Self-attention K/V in blocks, joined at each read."""

    block: int = 16

    def self_kv(self, shape):
        return BlocksStore(shape, self.block)

    def rows_reserved(self, k):
        return -(-k // self.block) * self.block

    def rows_copied(self, k):
        return self.rows_reserved(k)

    def rows_reordered(self, k):
        return self.rows_reserved(k)
