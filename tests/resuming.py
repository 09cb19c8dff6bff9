"""Runs that are killed at random points and resumed, and what they must have come to in the end."""

from __future__ import annotations

import random
from collections import Counter
from pathlib import Path

import pandas as pd

from suites.store.cell_state import state_of
from suites.store.plan import labels_of, read_plan

from .command import SMALL_MODEL, killed, suites
from .killed import POINTS

SWEEP = ["seq_len=4,5,6", "strategies=[full_recompute,static_kv]", "measure.rounds=2", "measure.warmup=0"]
KEYS = [*SWEEP, *SMALL_MODEL, "threads=1", "plots=false", "report=false"]
TRIES_MAX = 4
PASSAGES_MAX = {"planning": 20, "set-up": 2, "rounds": 9, "results": 2, "collecting": 3, "summary": 1, "exchanging": 3}
"""How often a run passes a point, about; 20 where a point is not named."""


def kill_and_resume(seed: int, folder: Path) -> list[str]:
    """Kill a sweep into ``folder``/run a few times, and resume it to its end. Returns what was done.

    Raises AssertionError if it does not come to the rows of an undisturbed run.
    """
    chance, done = random.Random(seed), []
    run_dir = folder / "run"
    for number in range(chance.randint(2, TRIES_MAX)):
        # Folders are exchanged only where a cell is measured once more.
        point = chance.choice([one for one in sorted(POINTS) if number or one != "exchanging"])
        count = chance.randint(1, PASSAGES_MAX.get(point, 20))
        before = finished(run_dir)
        ended = killed(point, count, "run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=folder)
        done.append(f"{point} {count}: {'killed' if ended.returncode == -9 else f'exit {ended.returncode}'}")
        assert ended.returncode in (-9, 0), (done, ended.stderr)
        assert before <= finished(run_dir), (done, "a finished cell was lost")
    end = suites("run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=folder)
    assert end.returncode == 0, (done, end.stdout + end.stderr)
    require_whole(run_dir, done)
    return done


def finished(run_dir: Path) -> set[str]:
    """Ids of the planned cells that are measured."""
    if not (run_dir / "run.json").exists():
        return set()
    return {entry["id"] for entry in read_plan(run_dir) if state_of(run_dir, entry).status == "done"}


def require_whole(run_dir: Path, done: list[str]) -> None:
    """Raise AssertionError if a planned row is missing, stands twice or was not measured, or folders are left."""
    table = pd.read_csv(run_dir / "table.csv")
    planned = Counter((entry["id"], label) for entry in read_plan(run_dir) for label in labels_of(entry))
    assert Counter(zip(table["cell"], table["strategy"], strict=True)) == planned, done
    assert set(table["status"]) == {"ok"}, (done, table[["cell", "strategy", "reason"]].to_string())
    assert (table["rounds"] == 2).all(), done
    left = [name for name in ("again", "replaced") if (run_dir / name).exists()]
    assert not left, (done, left)
