"""The arm that stands for a contender in the rounds of a cell."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from strategies import ModelConfig

from ...cells import Cell
from ...clock import Clock
from ...noise import others_load
from ...records import Round
from ..contender import Contender, ContenderError
from .agreement import padded
from .process import Process
from .quiet import wait_until_quiet


class ContenderArm:
    """One contender, prepared for a cell in a process of its own. Its process ends when it fails, or by ``close``."""

    weights: tuple[Tensor, ...] = ()
    """None in this process."""

    def __init__(
        self,
        contender: type[Contender],
        cell: Cell,
        config: ModelConfig,
        src_ids: Sequence[Sequence[int]],
        checkpoint: Path,
        seconds_max: float,
    ) -> None:
        """Start and prepare it. Raises ContenderError; then no process is left."""
        self.contender, self.label, self._cell, self._config = contender, contender.name, cell, config
        self._process = Process(contender.name, cell.threads, seconds_max)
        self.rss_bytes: int | None = None
        self.token_ids: list[list[int]] = []
        self.token_BN: Tensor | None = None
        self.remark = ""
        self.setup_s: float = self._ask(
            do="prepare",
            checkpoint=str(checkpoint),
            cell=dataclasses.asdict(cell),
            src_ids=[list(row) for row in src_ids],
        )["setup_s"]

    def _ask(self, **request: Any) -> dict[str, Any]:
        try:
            return self._process.ask(**request)
        except BaseException:
            self.close()
            raise

    @property
    def pid(self) -> int:
        """Of its process."""
        return self._process.pid

    def twin(self) -> ContenderArm:
        """Raises ContenderError: it is the baseline, which is timed twice, only where no strategy is left."""
        raise ContenderError("no strategy is left to be timed twice")

    def close(self) -> None:
        """End its process."""
        self._process.close()

    def round(self, index: int, warmup: bool, clock: Clock) -> Round:
        """One round by the contender's own clock, once this process is quiet. Raises ContenderError."""
        wait_until_quiet()
        answer = self._ask(do="round")
        self.token_ids, marks_s, every_step = answer["token_ids"], answer["marks_s"], answer["every_step"]
        try:
            self._require_sound(marks_s, every_step)
        except ContenderError:
            self.close()
            raise
        self.token_BN = padded(self.token_ids, self._config.pad_id)
        self.rss_bytes = answer["rss_bytes"]
        others = others_load(marks_s[-1], answer["own_cpu_s"], answer["busy_cpu_s"], os.cpu_count() or 1)
        return Round(self.label, index, warmup, every_step, marks_s, answer["collections"], others > 0)

    def _require_sound(self, marks_s: list[float], every_step: bool) -> None:
        """What a contender of a user may get wrong: so many rows, so long, and as many marks."""
        cell, lengths = self._cell, [len(row) for row in self.token_ids]
        if len(lengths) != cell.batch_size or not all(0 < length <= cell.tgt_len for length in lengths):
            raise ContenderError(f"gave rows of {lengths} tokens for {cell.batch_size} of at most {cell.tgt_len}")
        for row, length in zip(self.token_ids, lengths, strict=True):
            if length < cell.tgt_len and (cell.stop == "fixed" or row[-1] not in self._config.eos_ids):
                raise ContenderError(f"ended a row after {length} of {cell.tgt_len} tokens without an end token")
            if not all(0 <= number < self._config.vocab_size for number in row):
                raise ContenderError(f"gave a token outside the vocabulary of {self._config.vocab_size}")
        expected = max(lengths) + 2 if every_step else 4
        known = [mark for mark in marks_s if mark == mark]  # NaN: not told
        if len(marks_s) != expected or known != sorted(known) or not known[-1] > known[0] == 0:
            raise ContenderError(f"gave {len(marks_s)} marks for {max(lengths)} steps; {expected}, ascending from 0")

    def row_lens(self) -> list[int]:
        """Tokens of each row of the last round, up to and with its end."""
        return [len(row) for row in self.token_ids]

    def figures(self) -> dict[str, Any]:
        """Facts of the arm besides its rounds: all that can be asked of it is the memory of its process, in bytes."""
        return {"rss_bytes": self.rss_bytes}
