"""Self-attention K/V in blocks of a pool that all layers share, found through one table of blocks."""

from dataclasses import dataclass, replace

import torch

from .strategy import Strategy, StrategyError, register


class Pool:
    """Blocks of K and V, [B, G, L * blocks * size, K], and the rows that each block of a sentence lies in."""

    def __init__(self, shape, layers, blocks, size):
        rows = torch.arange(layers * blocks * size, device=shape.device).view(layers, blocks, size)
        self.rows_LR = rows.flip(1).flatten(1)  # the first block of a sentence lies last
        held = shape.batch, shape.heads, rows.numel(), shape.head_size
        self.k_BGRK = torch.zeros(held, dtype=shape.dtype, device=shape.device)
        self.v_BGRK = torch.zeros_like(self.k_BGRK)
        self.layer_bytes = 2 * self.k_BGRK.nbytes // layers
        self.layer_rows = blocks * size


class LayerOfPool:
    past_only = True

    def __init__(self, pool, layer):
        self.pool, self.rows_R = pool, pool.rows_LR[layer]

    def reset(self):
        pass

    def append(self, k_BGTK, v_BGTK, step):
        new_T, held_M = self.rows_R[step.query_offset : step.length], self.rows_R[: step.length]
        self.pool.k_BGRK[:, :, new_T], self.pool.v_BGRK[:, :, new_T] = k_BGTK, v_BGTK
        return self.pool.k_BGRK[:, :, held_M], self.pool.v_BGRK[:, :, held_M]

    def key_position_M(self, step):
        return torch.arange(step.length, device=self.rows_R.device)

    def nbytes(self, length):
        return self.pool.layer_bytes, self.pool.layer_bytes // self.pool.layer_rows * length


@register("pooled_kv")
@dataclass(frozen=True)
class PooledKV(Strategy):
    """Self-attention K/V in blocks of a pool that layers share, as many as the target needs from the start."""

    block: int = 16
    capacity: int | None = None

    def __post_init__(self):
        if self.block < 1:
            raise StrategyError(f"pooled_kv: block={self.block} is not allowed; give at least 1")

    def bind(self, max_new):
        blocks = -(-max_new // self.block)
        if self.capacity is not None and self.capacity < blocks * self.block:
            raise StrategyError(f"pooled_kv: capacity={self.capacity} cannot hold {max_new} tokens; give more")
        return replace(self, capacity=self.capacity or blocks * self.block)

    def open(self, shape, layers):
        pool = Pool(shape, layers, self.capacity // self.block, self.block)
        return [LayerOfPool(pool, layer) for layer in range(layers)]

    def rows_copied(self, k):
        return k  # gathered to be read

    def rows_reserved(self, k):
        return self.capacity // self.block * self.block
