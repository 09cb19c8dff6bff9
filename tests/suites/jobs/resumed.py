"""A run that is gone on with, and what is read of its folder."""

from suites.store.cell_state import state_of
from suites.store.files import read_json, write_json
from suites.store.plan import read_plan
from tests.command import suites


def resume(run_dir, *flags):
    """``run --resume`` of a run folder, with flags."""
    return suites("run", "--resume", str(run_dir), *flags, folder=run_dir.parent)


def rounds_of(run_dir):
    """The raw rounds of each cell, as text."""
    return {path.parent.name: path.read_text() for path in run_dir.glob("cells/*/rounds.jsonl")}


def states(run_dir):
    """The states of all cells, in the order of the plan."""
    return [state_of(run_dir, entry).status for entry in read_plan(run_dir)]


def fail_an_arm(run_dir, place=1, reason="out of memory"):
    """Make one arm of a cell a failed one, and return the cell's folder."""
    folder = run_dir / "cells" / read_plan(run_dir)[place]["id"]
    arms = read_json(folder / "arms.json")
    arms[1] |= {"status": "failed", "reason": reason}
    write_json(folder / "arms.json", arms)
    return folder
