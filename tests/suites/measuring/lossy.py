"""Approximate strategies: they round K and V, keep only the last keys, lose nothing, or break down."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.strategy import StrategyError


class RoundedStore(ContiguousStore):
    """Each row is rounded to as many levels of its largest number."""

    def __init__(self, shape, levels):
        super().__init__(shape)
        self._levels = levels

    def append(self, k_BGTK, v_BGTK, step):
        return super().append(self._rounded(k_BGTK), self._rounded(v_BGTK), step)

    def _rounded(self, rows_BGTK):
        scale_BGT1 = rows_BGTK.abs().amax(-1, keepdim=True).clamp_min(1e-30) / self._levels
        return (rows_BGTK / scale_BGT1).round() * scale_BGT1


@dataclass(frozen=True)
class Rounded(ContiguousKV):
    exact: ClassVar[bool] = False
    levels: int = 1

    @property
    def label(self):
        return f"rounded_kv(levels={self.levels})"

    def self_kv(self, shape):
        return RoundedStore(shape, self.levels)


class WindowStore(ContiguousStore):
    def __init__(self, shape, window):
        super().__init__(shape)
        self._window = window

    def append(self, k_BGTK, v_BGTK, step):
        super().append(k_BGTK, v_BGTK, step)
        self._k_BGMK, self._v_BGMK = (kept[:, :, -self._window :] for kept in (self._k_BGMK, self._v_BGMK))
        return self._k_BGMK, self._v_BGMK

    def key_position_M(self, step):
        return super().key_position_M(step)[-self._window :]


@dataclass(frozen=True)
class Window(ContiguousKV):
    """Only the last keys are kept: what a query would find in older ones is lost."""

    exact: ClassVar[bool] = False
    label = "window_kv"
    window: int = 4

    def self_kv(self, shape):
        return WindowStore(shape, self.window)

    def keys_read(self, k):
        return min(k, self.window)

    rows_reserved = keys_read


@dataclass(frozen=True)
class Harmless(ContiguousKV):
    exact: ClassVar[bool] = False
    label = "harmless_kv"


@dataclass(frozen=True)
class Short(Harmless):
    """Serves no long target, as a user's own may."""

    label = "short_kv"

    def bind(self, max_new):
        if max_new > 6:
            raise StrategyError(f"short_kv holds 6 tokens, not {max_new}; give fewer")
        return self


@dataclass(frozen=True)
class Overflowing(Harmless):
    label = "overflowing_kv"

    def self_kv(self, shape):
        class Store(ContiguousStore):
            def append(self, k_BGTK, v_BGTK, step):
                return super().append(k_BGTK, v_BGTK * (torch.inf if step.length == 3 else 1), step)

        return Store(shape)
