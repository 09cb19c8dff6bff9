"""Self-attention K/V of the last keys alone."""

from dataclasses import dataclass

import torch

from .contiguous_kv import ContiguousStore
from .strategy import Strategy, register


class WindowStore(ContiguousStore):
    def __init__(self, shape, window):
        super().__init__(shape)
        self._window = window

    def append(self, k_BGTK, v_BGTK, step):
        older = max(0, self._k_BGMK.shape[2] - self._window + 1)
        self._k_BGMK, self._v_BGMK = self._k_BGMK[:, :, older:], self._v_BGMK[:, :, older:]
        return super().append(k_BGTK, v_BGTK, step)

    def key_position_M(self, step):
        return torch.arange(step.length - step.keys, step.length, device=self._empty_BG0K.device)


@register("window_kv")
@dataclass(frozen=True)
class WindowKV(Strategy):
    """Self-attention K/V of the last keys alone; what is lost are the older keys."""

    exact = False
    window: int = 64

    def self_kv(self, shape):
        return WindowStore(shape, self.window)

    def keys_read(self, k):
        return min(k, self.window)

    def rows_copied(self, k):
        return min(k, self.window) - 1

    def rows_reserved(self, k):
        return min(k, self.window)

    def rows_reordered(self, k):
        return min(k, self.window)
