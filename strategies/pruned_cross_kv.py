"""Cross-attention K/V of which a part is dropped, once some steps have shown which positions are attended.

Zhang et al. 2023 (H2O, arXiv 2306.14048) sum attention to choose which keys of a decoder-only model stay in its cache,
at every step anew. Here sums are taken over the first steps alone, the choice is made once, and only cross-attention is
pruned. Self-attention K/V are those of ``static_kv``.
"""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from fractions import Fraction
from functools import cache
from typing import ClassVar, Self

import torch
from torch import Tensor

from .models.positions import aligned_rows
from .models.stores import CachedCross, CrossKV, CrossProject
from .static_kv import StaticKV
from .strategy import Execution, StrategyError, register


@cache
def kept_of(keep: float, src_len: int) -> int:
    """The share ``keep`` of S = ``src_len`` positions, rounded up: of the decimal fraction, as it is written.

    >>> kept_of(0.07, 100), kept_of(0.5, 7)
    (7, 4)
    """
    return math.ceil(Fraction(str(keep)) * src_len)  # 0.07 * 100 is above 7


class PrunedCross(CachedCross):
    """Cross-attention K/V that are pruned before step ``observe`` + 1, to the ``kept`` positions most attended.

    What a position is worth is the sum of its attention probabilities in this layer over the steps before, all heads
    and all beams of the sentence. Of positions that are worth the same, earlier ones are kept.
    """

    def __init__(self, project: CrossProject, memory_BSD: Tensor, kept: int, observe: int) -> None:
        k_BGSK, v_BGSK = project(memory_BSD)
        # Dense, because the product of scores would copy K at each observed step to make it so.
        self._kv = k_BGSK.contiguous(), v_BGSK.contiguous()
        self._scale = project.scale
        self._kept, self._to_observe = kept, observe
        self._worth_BS: Tensor | None = k_BGSK.new_zeros(len(k_BGSK), k_BGSK.shape[2], dtype=torch.float32)
        self._bias: Tensor | None = None

    def get(self, q_BHTK: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor, Tensor | None]:
        """All K/V, [B, G, S, K] each, and ``bias`` while they are observed; then those kept, and their bias."""
        if self._worth_BS is not None:
            if self._to_observe > 0:
                self._to_observe -= q_BHTK.shape[2]  # one row at a step, and those of a prefix at once
                self._worth_BS += self._attended_BS(q_BHTK, bias)
                return *self._kv, bias
            self._prune(self._worth_BS, bias)
            self._worth_BS = None
        return *self._kv, self._bias

    def _attended_BS(self, q_BHTK: Tensor, bias: Tensor | None) -> Tensor:
        """Attention probabilities, summed over all query rows of a sentence: its beams, their heads and their rows."""
        k_BGSK, _ = self._kv
        batch, heads, _, size = k_BGSK.shape
        beams, group, rows = len(q_BHTK) // batch, q_BHTK.shape[1] // heads, q_BHTK.shape[2]
        q_BGWJTK = q_BHTK.view(batch, beams, heads, group, rows, size).transpose(1, 2)
        # Scaled and laid out densely in one pass.
        scaled_BGXK = torch.mul(q_BGWJTK, self._scale, out=q_BGWJTK.new_empty(q_BGWJTK.shape)).flatten(2, 4)
        score_BGXS = (scaled_BGXK @ k_BGSK.transpose(2, 3)).float().nan_to_num_()  # float16 may end at infinity
        if bias is not None:
            score_BGXS += bias
        return score_BGXS.softmax(-1).sum((1, 2))

    def _prune(self, worth_BS: Tensor, bias: Tensor | None) -> None:
        if bias is not None:
            worth_BS = worth_BS + bias[:, 0, 0]  # padding comes last, also after what was never attended
        order_BS = worth_BS.argsort(dim=1, descending=True, stable=True)
        kept_B11M = order_BS[:, : self._kept].sort(dim=1).values[:, None, None, :]
        k_BGSK, v_BGSK = self._kv
        index_BGMK = kept_B11M.mT.expand(-1, k_BGSK.shape[1], -1, k_BGSK.shape[3])
        self._kv = k_BGSK.gather(2, index_BGMK), v_BGSK.gather(2, index_BGMK)
        self._bias = None if bias is None else aligned_rows(bias.gather(3, kept_B11M))


@register("pruned_cross_kv")
@dataclass(frozen=True)
class PrunedCrossKV(StaticKV):
    """Cross-attention K/V of the positions that the first steps attend most; self-attention K/V as in static_kv.

    All positions are read for ``observe`` steps. From then on each layer keeps, of each sentence, the share ``keep`` of
    the positions, padding included, and the K/V of all others are lost: what a later token would have attended there
    goes to the positions that are left. A target of at most ``observe`` tokens loses nothing.
    """

    keep: float = 0.5
    observe: int = 4

    exact: ClassVar[bool] = False

    def __post_init__(self) -> None:
        super().__post_init__()
        longer = "a longer read serves compiled steps, and these are eager; give filled"
        for allowed, option, remedy in (
            (0 < self.keep <= 1, "keep", "give a share above 0 and at most 1"),
            (self.observe >= 1, "observe", "give a number of steps of at least 1"),
            (self.cross == "cached", "cross", "K/V that do not persist cannot be pruned; give cached"),
            (self.cross_beams == "shared", "cross_beams", "the beams of a sentence share what is kept; give shared"),
            (self.read == "filled", "read", longer),
        ):
            if not allowed:
                raise StrategyError(f"{self._name}: {option}={getattr(self, option)} is not allowed; {remedy}")

    def bind(self, max_new: int) -> Self:
        """As ``static_kv``. Where no step comes after those that are observed, all is kept and nothing observed."""
        bound = super().bind(max_new)
        return bound if max_new > self.observe else dataclasses.replace(bound, keep=1.0)

    def cross_kv(self, project: CrossProject, memory_BSD: Tensor) -> CrossKV:
        """K/V of all positions, to be pruned if fewer of them are kept."""
        src_len = memory_BSD.shape[1]
        kept = kept_of(self.keep, src_len)
        if kept == src_len:
            return super().cross_kv(project, memory_BSD)
        return PrunedCross(project, memory_BSD, kept, self.observe)

    def cross_keys_read(self, k: int, src_len: int) -> int:
        """All S positions while they are observed, then ceil(keep * S)."""
        return src_len if k <= self.observe else kept_of(self.keep, src_len)

    def cross_keys_observed(self, k: int, src_len: int) -> int:
        """All S positions while they are observed, if any is dropped later."""
        return src_len if k <= self.observe and kept_of(self.keep, src_len) < src_len else 0

    @property
    def static(self) -> bool:
        """False: pruned K and V lie elsewhere than those they are taken from."""
        return False

    @property
    def supports(self) -> frozenset[Execution]:
        """Eager alone: a step before pruning and one after it differ in more than the values of tensors."""
        return frozenset({"eager"})

    def executed(self, execution: Execution) -> Self | None:
        """This strategy, for eager steps alone."""
        return self if execution == "eager" else None
