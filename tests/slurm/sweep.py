"""A sweep on the cluster as a user has it: commands, and what its folder then holds."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd

from ..command import ROOT, SMALL_MODEL
from .cluster import Cluster

STRATEGIES = "full_recompute", "contiguous_kv"


class Sweep:
    """Cells of ``lengths`` in ``folder``, on ``cluster``."""

    def __init__(self, cluster: Cluster, folder: Path, lengths: range) -> None:
        self.cluster, self.folder, self.lengths = cluster, folder, lengths

    def submit(self, *arguments: str, partition: str = "debug") -> subprocess.CompletedProcess[str]:
        """``run`` with the cells of the sweep."""
        lengths, strategies = ",".join(map(str, self.lengths)), ",".join(STRATEGIES)
        sizes = [*SMALL_MODEL, f"seq_len={lengths}", f"strategies=[{strategies}]", "measure=quick", "device=cpu"]
        place = ["threads=1", "+cluster=slurm", f"cluster.partition={partition}", "cluster.minutes=5", "plots=false"]
        return self("run", *sizes, *place, "report=false", f"hydra.run.dir={self.folder}", *arguments)

    def __call__(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """``python -m suites ...`` on this cluster, from the checkout."""
        command = [sys.executable, "-m", "suites", *arguments]
        env = self.cluster.env | {"PYTHONPATH": str(ROOT), "NO_COLOR": "1", "OMP_NUM_THREADS": "1"}
        return subprocess.run(command, env=env, cwd=self.folder.parent, capture_output=True, text=True, timeout=500)

    def jobs(self) -> dict[str, str]:
        """The id of the last job of each cell, by cell."""
        entries = json.loads((self.folder / "run.json").read_text())["jobs"]
        return {entry["cell"]: entry["job"] for entry in entries}

    def states(self) -> dict[str, str]:
        """What ``squeue`` says of each cell's job."""
        jobs = self.jobs()
        said = self.cluster.states(",".join({job.partition("_")[0] for job in jobs.values()}))
        return {cell: said.get(job, "forgotten") for cell, job in jobs.items()}

    def any_is(self, state: str) -> bool:
        """Whether a job is in this state."""
        return state in self.states().values()

    def wait(self) -> None:
        """Until no job waits or runs."""
        self.cluster.wait_for(lambda: not {"PENDING", "RUNNING", "COMPLETING"} & {*self.states().values()}, 400)

    def rounds(self, folder: str) -> int:
        """Number of rounds of all arms in the cells below ``folder``: "cells", or "again" of a later try."""
        files = [path.read_text().splitlines() for path in (self.folder / folder).glob("*/rounds.jsonl")]
        return sum('"kind"' not in line for lines in files for line in lines)

    def rows(self) -> pd.DataFrame:
        """table.csv."""
        return pd.read_csv(self.folder / "table.csv")

    def cases(self) -> list[tuple[int, str]]:
        """(target length, strategy) of each row of table.csv that was measured, in order."""
        measured = self.rows().query("status == 'ok'")
        return sorted(zip(measured["tgt_len"], measured["strategy"], strict=True))

    def every_case(self) -> list[tuple[int, str]]:
        """What ``cases`` is for a whole sweep."""
        return sorted((length, strategy) for length in self.lengths for strategy in STRATEGIES)


def counted(text: str) -> dict[str, int]:
    """``{"done": 11, "failed": 1}``, for "11 cells done, 1 failed"; what is not named is none."""
    found = re.findall(r"(\d+)(?: cells?)?(?: are| is)? (done|running|queued|failed|missing)", text)
    return dict.fromkeys(("done", "running", "queued", "failed", "missing"), 0) | {name: int(n) for n, name in found}
