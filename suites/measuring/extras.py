"""Phoneme errors, what narrower weights change, and resident memory: measured before the rounds, where they apply."""

from __future__ import annotations

from collections.abc import Sequence

from strategies import ModelConfig
from strategies.models.encoder_decoder import EncoderDecoder

from ..settings.cells import Cell
from ..settings.faults import Fault, contained
from ..settings.inputs import Inputs, Source
from ..words.progress import Progress
from .arms import StrategyArm
from .cell_file import CellFile
from .child_arms import ChildArms
from .narrowing import beside_whole
from .outcomes import Outcomes
from .resident import resident
from .spoken import phoneme_error, phrase_words


class Extras:
    """Measures the arms of one cell; what is found goes to cell.json or is noted of an arm."""

    def __init__(
        self, cell: Cell, arms: Sequence[StrategyArm], file: CellFile, outcomes: Outcomes, progress: Progress
    ) -> None:
        self._cell, self._arms = cell, arms
        self._file, self._outcomes, self._progress = file, outcomes, progress

    def phoneme_errors(self, model: EncoderDecoder, in_phrases: bool) -> None:
        """Count phoneme errors: those of the cell, and those of each approximate arm on the same phrases.

        ``in_phrases``: read phrases about as long as the texts of the cell, not single words.
        """
        self._progress.say("phoneme errors")
        words = phrase_words(self._cell) if in_phrases else 1
        self._file.write(**phoneme_error(self._cell, model, words=words))
        for arm in self._arms:
            if arm.exact:
                continue
            found = phoneme_error(self._cell, model, arm.strategy, words)
            self._outcomes.note(arm.label, phoneme_error=found.get("phoneme_error"))
            if reason := found.get("phoneme_error_reason"):
                arm.remark_on(f"its phoneme error is not known: {reason}")

    def narrowing(self, config: ModelConfig, inputs: Inputs) -> EncoderDecoder:
        """Measure what narrower weights change, and return the model with whole weights."""
        self._progress.say("narrower weights")
        exact = [arm for arm in self._arms if arm.exact]  # of others it would not be known what the weights change
        whole, narrowed = beside_whole(self._cell, config, exact, inputs)
        if self._arms and not exact:
            narrowed = {"narrowing_reason": "no exact strategy was measured; add one, such as static_kv"}
        self._file.write(**narrowed)
        return whole

    def resident_memory(self, config: ModelConfig, source: Source, children: ChildArms, seconds_max: float) -> None:
        """Note the resident memory of a process of each strategy alone."""
        self._progress.say("resident memory")
        for arm in self._arms:

            def unknown(fault: Fault, arm: StrategyArm = arm) -> None:
                arm.remark_on(f"the memory of its own process is not known: {fault.reason}")

            with contained(unknown):
                found = resident(arm.label, self._cell, config, source, children, seconds_max)
                self._outcomes.note(arm.label, **found)
