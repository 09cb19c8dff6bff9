"""Approximate strategies for tests: one that forgets old keys, one that rounds K and V, and one that loses nothing."""

from dataclasses import dataclass
from typing import ClassVar

import torch

from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.strategy import register


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


@register("window_kv")
@dataclass(frozen=True)
class WindowKV(ContiguousKV):
    """Only the last rows are kept: what a query would find in older ones is lost."""

    exact: ClassVar[bool] = False
    window: int = 8

    def self_kv(self, shape):
        return WindowStore(shape, self.window)

    @property
    def supports(self):
        return frozenset({"eager"})

    def keys_read(self, k):
        return min(k, self.window)

    def rows_reserved(self, k):
        return min(k, self.window)


class RoundedStore(ContiguousStore):
    """Rounds each row to so many levels of its largest number."""

    def __init__(self, shape, levels):
        super().__init__(shape)
        self._levels = levels

    def append(self, k_BGTK, v_BGTK, step):
        return super().append(self._rounded(k_BGTK), self._rounded(v_BGTK), step)

    def _rounded(self, rows_BGTK):
        scale_BGT1 = rows_BGTK.abs().amax(-1, keepdim=True).clamp_min(torch.finfo(rows_BGTK.dtype).tiny) / self._levels
        return (rows_BGTK / scale_BGT1).round() * scale_BGT1


@register("rounded_kv")
@dataclass(frozen=True)
class RoundedKV(ContiguousKV):
    """K and V are rounded to as many levels as 8 bits have: their lower digits are lost."""

    exact: ClassVar[bool] = False
    levels: int = 127

    def self_kv(self, shape):
        return RoundedStore(shape, self.levels)


@register("harmless_kv")
@dataclass(frozen=True)
class HarmlessKV(ContiguousKV):
    """Says that it is approximate, and loses nothing."""

    exact: ClassVar[bool] = False
