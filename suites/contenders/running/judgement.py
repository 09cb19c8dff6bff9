"""Whether a contender may be timed: what it decoded is compared with the oracle, by the rules of the cell's search."""

from __future__ import annotations

from collections.abc import Callable

from ...measuring.admission import ORACLE
from ...measuring.arms import StrategyArm
from ...measuring.spoiled import answering
from ...settings.cells import Cell
from ..contender import Contender
from .agreement import TokenCheck, check_tokens
from .arm import ContenderArm
from .beam_agreement import BeamOracle, SequenceCheck


class Judgement:
    """Judges the contenders of one cell. Those that decoded the same are compared with the oracle once."""

    def __init__(self, cell: Cell, oracle: Callable[[], StrategyArm]) -> None:
        """``oracle`` gives the arm of full_recompute, which is asked for when it is first needed."""
        self._cell, self._oracle = cell, oracle
        self._dtype = "tf32" if cell.tf32 else cell.dtype
        self._beams: BeamOracle | None = None
        self._tokens: dict[str, TokenCheck] = {}
        self._sequences: dict[str, SequenceCheck] = {}

    def of(self, contender: type[Contender], arm: ContenderArm) -> tuple[bool, str]:
        """(whether it may be timed, the remark for a table), after its first round."""
        if self._cell.search.kind == "beam":
            return self._of_sequences(contender, arm)
        key = str(arm.token_ids)
        if key not in self._tokens:
            with answering(ORACLE):
                is_fixed = self._cell.stop == "fixed"
                self._tokens[key] = check_tokens(self._oracle(), arm.token_ids, self._dtype, is_fixed)
        return self._tokens[key].reason(contender.exact)

    def _of_sequences(self, contender: type[Contender], arm: ContenderArm) -> tuple[bool, str]:
        key = str((arm.token_ids, arm.scores))
        if key not in self._sequences:
            with answering(ORACLE):
                if self._beams is None:
                    self._beams = BeamOracle(self._oracle(), self._cell, self._dtype)
                self._sequences[key] = self._beams.check(arm.token_ids, arm.scores)
        return self._sequences[key].reason(contender.exact, contender.own_rules(self._cell))
