"""The line of progress on standard error: totals of all cells, and what those who measure them are doing."""

from __future__ import annotations

import sys
import threading
import time

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


class ProgressLine:
    """The line. Several threads may write to it, each for a worker of its own (``who``)."""

    def __init__(self, total_work: float, cells: int) -> None:
        self.cells, self._begun = cells, 0
        self.total, self.done = max(total_work, 1.0), 0.0
        self._lock = threading.RLock()
        self._console = console(stderr=True)
        wide = self._console.width >= WIDE
        self._room = self._console.width - NUMBERS - wide * (BAR + 1)
        self.bar = Bar(
            TextColumn("{task.description}", markup=False),
            *([BarColumn(BAR)] if wide else []),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[left]}", style="progress.remaining", markup=False),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self.bar.add_task("starting", total=self.total, left="")
        self._doing: dict[object, tuple[str, str]] = {}
        """(phase, what follows it: the cell) of each that is at work."""
        self._measured = 0
        self.start()

    def start(self) -> None:
        """Begin to count the time."""
        self._start = self._last = time.monotonic()
        self._first = self._start, 0.0

    def next_number(self) -> int:
        """Count one more cell that begins, and return its number."""
        with self._lock:
            self._begun += 1
            return self._begun

    def measured(self) -> None:
        """Count one more cell that is measured."""
        with self._lock:
            self._measured += 1

    def say(self, who: object, phase: str, cell: str) -> None:
        """Show what one of those who measure is doing."""
        with self._lock:
            self._doing[who] = phase, cell
            self._show()

    def leave(self, who: object) -> None:
        """Note that one of those who measure has nothing more to do."""
        with self._lock:
            self._doing.pop(who, None)
            self._show()

    def _show(self) -> None:
        self.bar.update(self._task, description=short_of_end(self._words(), self._room))

    def _words(self) -> str:
        """The phase and the cell; where several are measured at once, their numbers without what else names them."""
        if len(self._doing) < 2:
            return "".join(f"{phase} {cell}".strip() for phase, cell in self._doing.values())
        return ", ".join(f"{phase} {cell.partition(' ')[0]}" for phase, cell in self._doing.values())

    def advance(self, work: float) -> None:
        """Add ``work`` to what is done."""
        with self._lock:
            self.done += work
            if self._first[1] == 0.0:
                self._first = time.monotonic(), self.done
            self.bar.update(self._task, advance=work, left=self._left())
            now = time.monotonic()
            if not self._console.is_terminal and now - self._last > PLAIN_EVERY_S and self.done > 0:
                self._last = now
                parts = [f"{min(1.0, self.done / self.total):.0%}", self._left()]
                print(f"{self._words()}  {', '.join(filter(None, parts))}", file=sys.stderr, flush=True)

    def _left(self) -> str:
        """The time left as "m:ss left", or "" where it is not known yet."""
        known = self._measured > 0 or (self.cells == 1 and self.done >= KNOWN * self.total)
        if not known or not self.done or self.done >= self.total:
            return ""
        start, before = (self._start, 0.0) if self._measured else self._first
        if self.done <= before:
            return ""
        left_s = int((time.monotonic() - start) * (self.total - self.done) / (self.done - before))
        return f"{left_s // 60}:{left_s % 60:02} left"

    def expect(self, work: float) -> None:
        """Add ``work`` to the total."""
        with self._lock:
            self.total = max(self.total + work, 1.0)
            self.bar.update(self._task, total=self.total)

    def print(self, text: str) -> None:
        """Print a line above this one."""
        self._console.print(text, soft_wrap=True)
