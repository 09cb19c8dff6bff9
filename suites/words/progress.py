"""Progress of a whole sweep, on standard error: the phase, the cell and the time left, or plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from .console import console
from .labels import short_of_end

PLAIN_EVERY_S = 10.0
WIDE, BAR = 110, 24
"""Columns of a terminal from which on there is room for a bar beside the words, and those of the bar."""
NUMBERS = len(" 100% 0:00:00 100:00 left ")
"""Columns that percentage and times take."""
KNOWN = 0.25
"""Share of the work of a single cell after which its time left is shown."""


class Progress:
    """Shows how much of the predicted work is done.

    On a terminal it is one line, the phase first: "round 3 of 6 [2/5] pronounce cpu ... 35% 0:01:10 2:10 left". A
    terminal of ``WIDE`` columns or more has a bar, too. Elsewhere such a line is printed at most once in
    ``PLAIN_EVERY_S`` seconds. The time left is shown from the end of the first cell on, as a cell begins with work of
    another rate, and follows from the mean rate since the start. With one cell alone it is shown after ``KNOWN`` of
    its work, and follows from the rate since the first of it was done, so that what precedes the work does not count.
    """

    def __init__(self, total_work: float, cells: int) -> None:
        self._total, self._cells, self._cell = max(total_work, 1.0), cells, 0
        self._console = console(stderr=True)
        self._done = 0.0
        wide = self._console.width >= WIDE
        self._room = self._console.width - NUMBERS - wide * (BAR + 1)
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            *([BarColumn(BAR)] if wide else []),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="progress.remaining", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=self._total, left="")
        self._title, self._phase = "", ""
        self._before = self._total, self._done
        self._measuring, self._measured = False, 0
        self._start = self._last = time.monotonic()
        self._first = self._start, 0.0

    def __enter__(self) -> Self:
        self._bar.start()
        self._start = self._last = time.monotonic()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._bar.stop()

    def cell(self, title: str) -> None:
        """Say that a new cell has begun."""
        self._cell += 1
        self._measured += self._measuring
        self._measuring = True
        self._before = self._total, self._done
        self._title = f"[{self._cell}/{self._cells}] {title}"
        self.say("loading")

    def again(self) -> None:
        """Take back that this cell has begun: it will begin once more, so what was done of it is to be done again."""
        total, done = self._before
        self._cell -= 1
        self._measuring = False
        self.expect(total + self._done - done - self._total)

    def say(self, what: str) -> None:
        """Say what is being done in the cell."""
        self._phase = what
        self._bar.update(self._task, description=short_of_end(self._words(), self._room))

    def _words(self) -> str:
        return f"{self._phase} {self._title}".strip()

    def advance(self, work: float) -> None:
        """Add ``work`` to what is done."""
        self._done += work
        if self._first[1] == 0.0:
            self._first = time.monotonic(), self._done
        self._bar.update(self._task, advance=work, left=self._left())
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last > PLAIN_EVERY_S and self._done > 0:
            self._last = now
            parts = [f"{min(1.0, self._done / self._total):.0%}", self._left()]
            print(f"{self._words()}  {', '.join(filter(None, parts))}", file=sys.stderr, flush=True)

    def _left(self) -> str:
        """The time left as "m:ss left", or "" where it is not known yet."""
        known = self._measured > 0 or (self._cells == 1 and self._done >= KNOWN * self._total)
        if not known or not self._done or self._done >= self._total:
            return ""
        start, before = (self._start, 0.0) if self._measured else self._first
        if self._done <= before:
            return ""
        left_s = int((time.monotonic() - start) * (self._total - self._done) / (self._done - before))
        return f"{left_s // 60}:{left_s % 60:02} left"

    def expect(self, work: float) -> None:
        """Add ``work`` to the total; negative where less is to be done than was planned."""
        self._total = max(self._total + work, 1.0)
        self._bar.update(self._task, total=self._total)

    def skip(self, title: str, work: float) -> None:
        """Say that a cell will not run, and take its work off the total."""
        self._cell += 1
        self.expect(-work)
        self._console.print(f"{title}: skipped")


class ToldProgress(Progress):
    """The progress of a child process: ``tell`` is given each call, so that the parent can show it."""

    def __init__(self, tell: Callable[..., None]) -> None:
        """``tell``: called with the name of a method of ``Progress`` and its arguments."""
        self._tell = tell

    def cell(self, title: str) -> None:
        """Tell that a new cell has begun."""
        self._tell("cell", title)

    def say(self, what: str) -> None:
        """Tell what is being done in the cell."""
        self._tell("say", what)

    def advance(self, work: float) -> None:
        """Tell how much was done."""
        self._tell("advance", work)

    def expect(self, work: float) -> None:
        """Tell how much more is to be done."""
        self._tell("expect", work)

    def skip(self, title: str, work: float) -> None:
        """Tell that a cell will not run."""
        self._tell("skip", title, work)
