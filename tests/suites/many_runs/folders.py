"""Run folders of many commits, generated: the cell of a real run, with rounds whose times are drawn, not measured."""

import datetime
import json
import shutil
import sys
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd

from suites.store.cell_folder import CellResult, CellWriter, read_cells
from suites.store.files import read_json, write_json
from suites.store.records import ArmResult, Round
from suites.tables.table_files import write_tables
from tests.command import ROOT

REAL = ROOT / "tests" / "runs" / "de30ccf"
MEAN_S = {"full_recompute": 12e-3, "cross_kv": 9e-3, "static_kv": 4e-3}
"""End-to-end seconds of each strategy on the first machine."""
FIRST = datetime.datetime(2026, 1, 1, 9, 30, tzinfo=datetime.UTC)
AMD = {"cpu": "AMD EPYC", "cpu_capability": "AVX512", "cores": 2, "gpu": None}
ARM = {"cpu": "Neoverse-V2", "cpu_capability": "DEFAULT", "cores": 8, "gpu": None}
ROUNDS = 6


@lru_cache
def real_cell() -> CellResult:
    return read_cells(REAL)[1]


def past_run(
    folder: Path, day: float, slower=1.0, machine=AMD, speed=1.0, noise=0.02, torch="2.13.0", seed=0, failed="", **facts
):
    """A run started ``day`` days after the first, whose static_kv takes ``slower`` times what it took at first.

    All times are multiplied by ``speed``. ``noise``: spread of the level of each run; within it, rounds vary by 2 %.
    ``failed``: a strategy that failed. ``facts`` go into environment.json.
    """
    rng = np.random.default_rng([int(10 * day), seed])
    done = real_cell()
    levels = {name: mean * np.exp(noise * rng.normal()) * speed for name, mean in MEAN_S.items()}
    levels["static_kv"] *= slower
    writer = CellWriter(folder, done.id)
    writer.cell(done.cell)
    arms = [arm for arm in done.arms if arm.strategy in levels]
    for index in range(ROUNDS):
        for arm in (arm for arm in arms if arm.strategy != failed):
            total = levels[arm.strategy] * np.exp(0.02 * rng.normal())
            marks = np.linspace(0, total, arm.steps + 2).tolist()
            writer.round(Round(arm.strategy, index, False, True, marks))
    writer.arms([ArmResult(failed, "failed", "no memory") if arm.strategy == failed else arm for arm in arms])
    day_started = FIRST + datetime.timedelta(days=day)
    entry = read_json(REAL / "run.json")
    plan = [one for one in entry["plan"] if one["id"] == done.id]
    write_json(folder / "run.json", entry | {"started": day_started.isoformat(), "plan": plan})
    versions = {"python": "3.12.3", "torch": torch, "decodebench": "0.2.0"}
    known = {"commit": f"{int(10 * day) * 2654435761 % 2**32:08x}" * 5, "uncommitted_changes": False}
    write_json(folder / "environment.json", {"versions": versions, **machine, **known, **facts})
    write_tables(folder, read_cells(folder))
    shutil.rmtree(folder / "cells")
    return folder


def past_runs(folder: Path, count: int, step=1.0, at=0, **how):
    """Runs of as many days; static_kv takes ``step`` times the time from the run ``at`` on, which has a newer torch."""
    for day in range(count):
        later = day >= at
        past_run(
            folder / f"run{day:02}", day, slower=step if later else 1.0, torch="2.14.0" if later else "2.13.0", **how
        )
    return folder


def without_hardware(folder: Path) -> Path:
    """Empty the columns of CPU and GPU in table.csv, as tables of earlier versions lack them. Returns the folder."""
    table = pd.read_csv(folder / "table.csv", dtype=str, keep_default_na=False)
    table.assign(cpu="", gpu="").to_csv(folder / "table.csv", index=False)
    return folder


def edit(path: Path, **changes):
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def example(folder: Path) -> None:
    """The runs of docs/history.md: of two machines, on the first of which a newer torch is 8 % slower."""
    past_runs(folder / "amd", 24, step=1.08, at=15)
    past_runs(folder / "arm", 4, machine=ARM, speed=0.6, seed=1)


if __name__ == "__main__":
    example(Path(sys.argv[1]))
