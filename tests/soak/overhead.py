"""Share of a sweep's time that is neither set-up nor rounds, for cells of about 2 s (``make bench-soak``).

    python -m tests.soak.overhead [CELLS]

The command is that of a user, with plots and page, once with ``isolate=none`` and once with ``isolate=process``. When a
file of a cell was last written says what the time went to, so nothing is added to what is timed:

- set-up: from the cell's environment.json, which is written before the model is loaded, to the first round. It holds
  loading, sources, compiling, the proof of equality, and the probes of memory and dispatch.
- rounds: warm-up and rests included, as conditions.json has it (``wall_s``), which is written at their end.
- outside: what else passes from when a cell is locked, before its process is started, to when the next one is. What
  the first cell takes longer than the others is told as spent once: with ``isolate=process``, starting the server that
  processes are forked from.
- collecting: from when the run is locked for it to the end of the command: tables, plots, summary and page. It is told
  apart, like what passes before the first cell.

Exits with 1 if a cell spends more than ``MOST`` outside with ``isolate=none``, what is spent once being shared by
``SWEEP`` cells. What a process for each cell costs is told.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import median

from suites.store.hardware import hardware_of
from suites.store.locks import cell_lock, collect_lock
from suites.store.schema import read_environment
from tests.command import SMALL_MODEL

CELLS, SWEEP = 12, 1000
WANTED_S, TRIED_ROUNDS = 2.0, 20
MOST = 0.02
ISOLATE = "none", "process"


@dataclass(frozen=True)
class Spent:
    """Seconds of a run: before its first cell, after its last one, and of each cell in set-up, rounds and outside."""

    start_s: float
    collecting_s: float
    set_up_s: list[float]
    rounds_s: list[float]
    outside_s: list[float]

    @classmethod
    def of(cls, run_dir: Path, began_s: float, ended_s: float) -> Spent:
        """Read when the files of a run were written. ``began_s``, ``ended_s``: those of the command, as times."""
        begun_s = {cell: _written(cell_lock(run_dir, cell.name)) for cell in (run_dir / "cells").iterdir()}
        cells = sorted(begun_s, key=begun_s.__getitem__)
        begins_s = [*(begun_s[cell] for cell in cells), _written(collect_lock(run_dir))]
        rounds_s = [float(json.loads((cell / "conditions.json").read_text())["wall_s"]) for cell in cells]
        inside_s = [_written(cell / "conditions.json") - _written(cell / "environment.json") for cell in cells]
        return cls(
            begins_s[0] - began_s,
            ended_s - begins_s[-1],
            [both - rounds for both, rounds in zip(inside_s, rounds_s, strict=True)],
            rounds_s,
            [till - since - both for (since, till), both in zip(pairwise(begins_s), inside_s, strict=True)],
        )

    @property
    def once_s(self) -> float:
        """What the first cell takes longer than the others, outside set-up and rounds."""
        return self.outside_s[0] - median(self.outside_s[1:])

    @property
    def share(self) -> float:
        """Share of the time of a sweep of ``SWEEP`` such cells that is outside set-up and rounds."""
        outside_s = median(self.outside_s[1:]) + self.once_s / SWEEP
        return outside_s / (outside_s + median(self.set_up_s) + median(self.rounds_s))

    def told(self) -> str:
        """The figures, as lines."""
        return (
            f"{median(self.set_up_s):.2f} s of set-up, {median(self.rounds_s):.2f} s of rounds and "
            f"{median(self.outside_s[1:]) * 1e3:.0f} ms outside a cell (medians), {self.once_s:.1f} s once: "
            f"{self.share:.2%} outside in {SWEEP} cells\n"
            f"  {len(self.rounds_s)} cells were measured; {self.start_s:.1f} s before the first one, "
            f"{self.collecting_s:.1f} s of collecting"
        )


def _written(path: Path) -> float:
    return path.stat().st_mtime


def spent(folder: Path, cells: int, rounds: int, isolate: str) -> Spent:
    """Run a sweep of ``cells`` cells in ``folder``, and say what its time went to."""
    keys = [*SMALL_MODEL, f"seq_len=range(16,{16 + cells})", "threads=1", f"measure.rounds={rounds}"]
    command = [sys.executable, "-m", "suites", "run", *keys, f"isolate={isolate}", f"hydra.run.dir='{folder}'"]
    began_s = time.time()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return Spent.of(folder, began_s, time.time())


def main() -> int:
    """Run both sweeps, print the figures, and return 1 if cells of this process spend too much outside."""
    cells = int(sys.argv[1]) if sys.argv[1:] else CELLS
    with tempfile.TemporaryDirectory() as temporary:
        tried = spent(Path(temporary, "tried"), 2, TRIED_ROUNDS, "none")
        a_round_s = median(tried.rounds_s) / (TRIED_ROUNDS + 1)
        rounds = max(2, round((WANTED_S - median(tried.set_up_s)) / a_round_s))
        found = {isolate: spent(Path(temporary, isolate), cells, rounds, isolate) for isolate in ISOLATE}
        machine = hardware_of(read_environment(Path(temporary, "tried")), "cpu")["cpu"]
        print(f"{machine}, {rounds} rounds a cell")
    for isolate, one in found.items():
        print(f"isolate={isolate}: {one.told()}")
    within = found["none"].share <= MOST
    print("within" if within else "NOT WITHIN", f"{MOST:.0%} with isolate=none")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
