"""A fault of a cell stays in the cell: it is a row with its reason, the other arms are measured, the sweep goes on."""

import dataclasses
import os

import pytest

from strategies import select
from suites.jobs.apart import LostError
from suites.jobs.cell_job import CellJob
from suites.jobs.cells import Cells
from suites.measuring import runner
from suites.settings.config import MeasureConfig
from suites.settings.faults import Fault
from suites.store.cell_folder import read_cells
from suites.store.files import read_json, write_json
from suites.tables.table_files import read_tables
from suites.words.progress import Progress
from tests.command import SMALL_MODEL, suites

from ..measuring.one_cell import CELL

FAULTS = {
    3: ("dies(at=3)", "its process was ended by SIGSEGV"),
    4: ("exits(at=4)", "its process ended with exit code 0"),
    5: ("grows(at=5)", "out of memory: "),
    6: ("full(at=6)", "out of memory: CUDA out of memory. Tried to allocate 2.00 GiB."),
    7: ("stops(at=7)", "no end within measure.cell_seconds_max=15 s: its process was ended"),
    8: ("spoils(at=8)", "AcceleratorError: CUDA error: device-side assert triggered; traceback in "),
}


@pytest.fixture(scope="module")
def sweep(copy):
    """(the finished command, its folder): in each cell another strategy does its deed."""
    chosen = f"strategies=[static_kv,{','.join(repr(label) for label, _ in FAULTS.values())}]"
    lengths = f"seq_len={','.join(map(str, [*FAULTS, 9]))}"
    limited = ["measure.rounds=2", "measure.warmup=0", "measure.cell_seconds_max=15"]
    done = suites("run", lengths, chosen, *SMALL_MODEL, *limited, "hydra.sweep.dir=run", folder=copy, packages=copy)
    return done, copy / "run"


@pytest.fixture
def table(sweep):
    done, folder = sweep
    assert (folder / "table.csv").exists(), done.stderr
    return read_tables(folder)[0].set_index(["tgt_len", "strategy"])


@pytest.mark.parametrize("length", FAULTS)
def test_each_fault_is_a_failed_row_whose_reason_names_the_cause(table, length):
    label, reason = FAULTS[length]
    row = table.loc[(length, label)]
    assert row["status"] == "failed"
    assert row["reason"].startswith(reason)


def test_every_other_arm_of_its_cell_is_measured_and_so_are_later_cells(table):
    for length in (*FAULTS, 9):
        others = table.loc[length].drop(FAULTS.get(length, ("", ""))[0], errors="ignore")
        assert len(others) >= len(FAULTS)
        assert (others[["status", "rounds"]] == ["ok", 2]).all().all()


def test_the_summary_says_why_cells_ran_apart_and_what_that_costs(sweep, table):
    done, folder = sweep
    (line,) = [line for line in done.stdout.replace("\n  ", " ").splitlines() if "processes of their own" in line]
    assert line.startswith("7 cells ran in processes of their own (isolate=auto: their time is limited); the first ")
    begun = [cell.cell["isolated"]["begun_s"] for cell in read_cells(folder)]
    assert all(seconds > 0 for seconds in begun)
    assert begun[-1] < begun[0]  # the first waits until the server has imported torch
    assert "Traceback" not in done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize("begun", [True, False])
def test_where_every_arm_is_lost_the_run_writes_rows_without_starting_cuda(tmp_path, monkeypatch, begun):
    cells, usual, asked = Cells(CUDA_VISIBLE_DEVICES="5"), runner.environment, []
    cuda = CellJob(dataclasses.replace(CELL, device="cuda"), select("core"), [], MeasureConfig(), tmp_path)
    folder = tmp_path / "cells" / cuda.cell.id

    def lost(job, progress, faults, why):
        if begun:
            write_json(folder / "environment.json", {**usual(with_gpu=False), "cuda_visible_devices": "5"})
        cells._apart._waited_s[job.cell.id] = 0.25
        raise LostError("", Fault("its process was ended by SIGKILL"), False)

    def environment(*, with_gpu):
        asked.append(with_gpu)
        return usual(with_gpu=with_gpu)

    monkeypatch.setattr(cells._apart, "run", lost)
    monkeypatch.setattr(runner, "environment", environment)
    cells.run(cuda, Progress(1, 1))
    arms = read_json(folder / "arms.json")
    assert {(arm["status"], arm["reason"]) for arm in arms} == {("failed", "its process was ended by SIGKILL")}
    assert read_json(folder / "cell.json")["isolated"] == {"why": "isolate=auto: they run on CUDA", "begun_s": 0.25}
    assert asked == [False]
    seen = read_json(folder / "environment.json")["cuda_visible_devices"]
    assert seen == ("5" if begun else os.environ.get("CUDA_VISIBLE_DEVICES"))
