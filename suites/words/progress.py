"""Progress of a whole sweep, on standard error: a bar with the time left or, without a terminal, plain lines."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from types import TracebackType
from typing import Self

from rich.progress import BarColumn, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar
from rich.text import Text

from .console import console

PLAIN_EVERY_S = 10.0


class TimeLeft(TextColumn):
    """Column with the time left, estimated from the mean rate since the start and not from the last few updates."""

    def __init__(self) -> None:
        super().__init__("")

    def render(self, task) -> Text:  # type: ignore[no-untyped-def]
        """``m:ss left``, or nothing before a rate is known and after the end."""
        if not task.completed or not task.total or task.finished:
            return Text("")
        left_s = (task.elapsed or 0) * (task.total - task.completed) / task.completed
        return Text(f"{int(left_s) // 60}:{int(left_s) % 60:02} left", style="progress.remaining")


class Progress:
    """Shows how much of the predicted work is done.

    On a terminal it is a bar. Elsewhere it prints a line at most once in ``PLAIN_EVERY_S`` seconds.
    """

    def __init__(self, total_work: float, cells: int) -> None:
        self._total, self._cells, self._cell = max(total_work, 1.0), cells, 0
        self._console = console(stderr=True)
        self._done = 0.0
        self._bar = Bar(
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TaskProgressColumn(),
            TimeElapsedColumn(),
            TimeLeft(),
            console=self._console,
            transient=True,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task("starting", total=self._total)
        self._title = ""
        self._before = self._total, self._done
        self._start = self._last = time.monotonic()

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
        self._before = self._total, self._done
        self._title = f"[{self._cell}/{self._cells}] {title}"
        self.say("")

    def again(self) -> None:
        """Take back that this cell has begun: it will begin once more, so what was done of it is to be done again."""
        total, done = self._before
        self._cell -= 1
        self.expect(total + self._done - done - self._total)

    def say(self, what: str) -> None:
        """Say what is being done in the cell."""
        self._bar.update(self._task, description=f"{self._title} {what}".strip())

    def advance(self, work: float) -> None:
        """Add ``work`` to what is done."""
        self._done += work
        self._bar.advance(self._task, work)
        now = time.monotonic()
        if not self._console.is_terminal and now - self._last > PLAIN_EVERY_S and self._done > 0:
            self._last = now
            left_s = (now - self._start) * (self._total - self._done) / self._done
            share = min(1.0, self._done / self._total)
            print(f"{self._title}  {share:.0%}, {max(0, left_s):.0f} s left", file=sys.stderr, flush=True)

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
