"""Progress of a whole sweep, on standard error: the phase, the cell and the time left, or plain lines elsewhere."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from types import TracebackType
from typing import Self

from .progress_line import ProgressLine


class Progress:
    """Shows how much of the predicted work is done.

    On a terminal it is one line, the phase first: "round 3 of 6 [2/5] pronounce cpu ... 35% 0:01:10 2:10 left". A
    terminal of ``WIDE`` columns or more has a bar, too. Elsewhere such a line is printed at most once in
    ``PLAIN_EVERY_S`` seconds. The time left is shown from the end of the first cell on, as a cell begins with work of
    another rate, and follows from the mean rate since the start. With one cell alone it is shown after ``KNOWN`` of
    its work, and follows from the rate since the first of it was done, so that what precedes the work does not count.

    Where cells are measured at once, each worker has a ``part``: "round 3 of 6 [2/5], equality [3/5] ...".
    """

    def __init__(self, total_work: float, cells: int) -> None:
        self._share(ProgressLine(total_work, cells))

    def _share(self, line: ProgressLine) -> None:
        self._line = line
        self._title, self._number, self._anew, self._measuring = "", 0, False, False
        self._done = self._expected = 0.0
        """Work of the cell at hand that was done, and what was added to that of the plan."""

    def __enter__(self) -> Self:
        self._line.bar.start()
        self._line.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._line.bar.stop()

    @contextlib.contextmanager
    def part(self) -> Iterator[Progress]:
        """Give the progress of one worker among several. It has a cell of its own; line and totals are shared."""
        one = _Part(self._line)
        try:
            yield one
        finally:
            if one._measuring:
                self._line.measured()
            self._line.leave(one)

    def cell(self, title: str) -> None:
        """Say that a new cell has begun."""
        self._begin()
        self._measuring = True
        self._title = f"[{self._number}/{self._line.cells}] {title}"
        self.say("loading")

    def _begin(self) -> None:
        """Count a cell, unless it is the one at hand that begins once more."""
        if not self._anew:
            if self._measuring:
                self._line.measured()
            self._number = self._line.next_number()
        self._measuring = self._anew = False
        self._done = self._expected = 0.0

    def again(self) -> None:
        """Take back that this cell has begun: it will begin once more, so what was done of it is to be done again."""
        self._line.expect(self._done - self._expected)
        self._done = self._expected = 0.0
        self._anew, self._measuring = True, False

    def say(self, what: str) -> None:
        """Say what is being done in the cell."""
        self._line.say(self, what, self._title)

    def advance(self, work: float) -> None:
        """Add ``work`` to what is done."""
        self._done += work
        self._line.advance(work)

    def expect(self, work: float) -> None:
        """Add ``work`` to the total; negative where less is to be done than was planned."""
        self._expected += work
        self._line.expect(work)

    def skip(self, title: str, work: float) -> None:
        """Say that a cell will not run, and take its work off the total."""
        self.leave_out(work)
        self._line.print(f"{title}: skipped")

    def leave_out(self, work: float) -> None:
        """Count a cell that will not run, and take its work off the total."""
        self._begin()
        self._line.expect(-work)


class _Part(Progress):
    """The progress of one worker among several."""

    def __init__(self, line: ProgressLine) -> None:
        self._share(line)


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
