"""What of a run is not measured yet, and the command that goes on with it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from ..jobs.states import standing
from ..settings.quoting import command_line
from ..store.files import exists
from ..store.folders import from_here
from ..store.plan import NAME as PLAN
from ..store.schema import read_run_entry
from ..words.quantity import counted
from .run_flags import RESUME


@dataclass(frozen=True)
class Left:
    """What of a run is left.

    ``running`` are the ids of cells that are measured at this moment. ``is_whole``: every planned cell is done.
    ``is_open``: more cells will be measured, by jobs that run or wait or by ``command``, which is the line of the
    summary that says how to go on, "" where nothing is to be done now.
    """

    running: frozenset[str] = frozenset()
    is_whole: bool = True
    is_open: bool = False
    command: str = ""


def left_of(run_dir: Path) -> Left:
    """Read what of a run is left; nothing of a run of an earlier version, which froze no plan. Raises ResultsError."""
    if not exists(run_dir / PLAN):
        return Left()
    now = standing(run_dir)
    jobs = {one["cell"] for one in read_run_entry(run_dir).get("jobs", [])}
    # Once a job of Slurm has ended, its cell was begun: ``settle_ended`` writes rows for one that was not.
    waiting = {one for one, state in now.states.items() if one in jobs - now.running and not state.begun}
    left = [entry for entry in now.left() if entry["id"] not in waiting]
    is_open = bool(left or waiting or now.running)
    if not left or now.running:  # a run that goes on measures what is left
        return Left(now.running, now.whole, is_open)
    command = command_line(["python", "-m", "suites", "run", RESUME, str(from_here(run_dir))])
    return Left(
        now.running, now.whole, is_open, f"Next, to measure what is left ({counted(len(left), 'cell')}): {command}"
    )
