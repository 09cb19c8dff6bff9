"""Planted faults: a strategy that loses a row of its cache, and an arm that counts a position too many."""

from dataclasses import dataclass

from strategies import Session
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from suites.measuring.arms import StrategyArm


class LosingStore(ContiguousStore):
    """Never writes the fourth row."""

    def append(self, k_BGTK, v_BGTK, step):
        written = float(step.length != 4)
        return super().append(k_BGTK * written, v_BGTK * written, step)


@dataclass(frozen=True)
class Losing(ContiguousKV):
    label = "losing"

    def self_kv(self, shape):
        return LosingStore(shape)


class ShiftedArm(StrategyArm):
    """Counts one position too many, from the middle of the target on."""

    def _allocate(self):
        cell = self._cell
        session = Session(self._model, self.strategy, cell.batch_size, cell.src_len, cell.tgt_len + 1)
        step = session.step

        def shifted(token_B):
            session._position_1 += int(session._step.length == cell.tgt_len // 2)
            return step(token_B)

        session.step = shifted
        return session
