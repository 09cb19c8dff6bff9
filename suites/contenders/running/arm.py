"""The arm that stands for a contender in the rounds of a cell."""

from __future__ import annotations

import dataclasses
import os
from pathlib import Path
from typing import Any

from torch import Tensor

from strategies import ModelConfig

from ...judging.other_load import others_load
from ...settings.cells import Cell
from ...settings.inputs import Source
from ...store.records import Round
from ...timing.clock import Clock
from ..errors import ContenderError
from .agreement import padded
from .process import Process
from .source_json import to_json


class ContenderArm:
    """One contender, prepared for a cell in a process of its own. The process ends by ``close`` or on a failure."""

    exact: bool | None = None
    weights: tuple[Tensor, ...] = ()
    """Empty: this process holds no weights of a contender."""

    def __init__(
        self,
        name: str,
        cell: Cell,
        config: ModelConfig,
        source: Source,
        checkpoint: Path,
        seconds_max: float,
        label: str | None = None,
    ) -> None:
        """Start the process and prepare the contender. ``label`` replaces the contender's name if given.

        Raises ContenderError, and leaves no process behind.
        """
        self.label, self._cell, self._config = label or name, cell, config
        self._process = Process(name, cell.threads, seconds_max)
        self.rss_bytes: int | None = None
        self.peak_rss_bytes: int | None = None
        self.token_ids: list[list[int]] = []
        self.scores: list[float] | None = None
        self.token_BN: Tensor | None = None
        self.steps = 0
        self.remark = ""
        prepared = self._ask(
            do="prepare",
            checkpoint=str(checkpoint),
            cell=dataclasses.asdict(cell),
            source=to_json(source),
        )
        self.setup_s: float = prepared["setup_s"]
        self._peak_memory_bytes: int | None = prepared["peak_memory_bytes"]
        self.loaded_rss_bytes: int | None = prepared["rss_bytes"]

    def _ask(self, **request: Any) -> dict[str, Any]:
        try:
            return self._process.ask(**request)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Id of its process."""
        return self._process.pid

    def twin(self) -> ContenderArm:
        """Raise ContenderError. A contender is the baseline, which is repeated, only if no strategy is left."""
        raise ContenderError("no strategy is left to be timed again")

    def close(self) -> None:
        """End its process."""
        self._process.close()

    def round(self, index: int, warmup: bool, clock: Clock) -> Round:
        """Run one round, of the kind that ``clock`` is for, by a clock in the contender's process.

        Raises ContenderError.
        """
        answer = self._ask(do="round", every_step=clock.every_step)
        self.token_ids, marks_s, every_step = answer["token_ids"], answer["marks_s"], answer["every_step"]
        self.scores = answer["scores"]
        try:
            self._require_sound(marks_s, every_step, clock.every_step)
        except ContenderError:
            self.close()
            raise
        self.token_BN = padded(self.token_ids, self._config.pad_id)
        self.steps = len(marks_s) - 2 if every_step else max(map(len, self.token_ids))
        self.rss_bytes, self.peak_rss_bytes = answer["rss_bytes"], answer["peak_rss_bytes"]
        wall_s, own_s, busy_s = answer["wall_s"], answer["own_cpu_s"], answer["busy_cpu_s"]
        disturbed = others_load(wall_s, own_s, busy_s, os.cpu_count() or 1) > 0
        others = None if busy_s is None else (busy_s - own_s) / wall_s
        return Round(self.label, index, warmup, every_step, marks_s, answer["collections"], disturbed, others)

    def _require_sound(self, marks_s: list[float], every_step: bool, asked: bool) -> None:
        """Raise ContenderError unless the number and lengths of rows, the tokens and the marks are possible ones.

        ``asked``: whether each step was to be marked. A contender that cannot mark steps need not.
        """
        cell, lengths = self._cell, [len(row) for row in self.token_ids]
        rows = cell.batch_size * cell.search.returned
        if len(lengths) != rows or not all(0 < length <= cell.tgt_len for length in lengths):
            raise ContenderError(f"gave rows of {lengths} tokens; give {rows} rows of 1 to {cell.tgt_len} tokens")
        if self.scores is not None and len(self.scores) != rows:
            raise ContenderError(f"gave {len(self.scores)} scores of {rows} sequences; give one for each, or none")
        for row, length in zip(self.token_ids, lengths, strict=True):
            if length < cell.tgt_len and (cell.stop == "fixed" or row[-1] not in self._config.eos_ids):
                raise ContenderError(f"ended a row after {length} of {cell.tgt_len} tokens without an end token")
            if not all(0 <= number < self._config.vocab_size for number in row):
                raise ContenderError(f"gave a token outside the vocabulary of {self._config.vocab_size}")
        if every_step and not asked:
            raise ContenderError(
                "marked each step in a round that is to be without; where clock.every_step is false, give four marks "
                "and every_step=False"
            )
        steps = len(marks_s) - 2
        # Beam search may go on after the sequences that it returns have ended.
        most = max(lengths) if cell.search.width == 1 else cell.tgt_len
        is_right = max(lengths) <= steps <= most if every_step else steps == 2
        known = [mark for mark in marks_s if mark == mark]  # without NaN
        if not is_right or known != sorted(known) or not known[-1] > known[0] == 0:
            expected = f"{max(lengths) + 2}{f' to {most + 2}' if most > max(lengths) else ''}" if every_step else "4"
            raise ContenderError(
                f"gave {len(marks_s)} marks for {max(lengths)} steps; give {expected}, ascending from 0"
            )

    def row_lens(self) -> list[int]:
        """Number of tokens of each sequence in the last round, up to and with EOS."""
        return [len(row) for row in self.token_ids]

    def figures(self) -> dict[str, Any]:
        """Resident memory of its process in bytes and, where it knows it, peak memory: no more can be asked of it."""
        return {"rss_bytes": self.rss_bytes, "peak_memory_bytes": self._peak_memory_bytes}
