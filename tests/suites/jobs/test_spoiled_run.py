"""A run goes on in a fresh process once an arm has spoiled CUDA, which here only seems to be in use."""

import contextlib

import psutil
import pytest

from strategies import select
from suites.jobs.cell_job import CellJob
from suites.jobs.cells import Cells
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import read_cells
from suites.tables.table_files import read_tables
from suites.words.progress import Progress
from tests.command import SMALL_MODEL, suites

from ..measuring.one_cell import CELL
from .interrupted import interrupted_twice

RAISES, SILENT = "spoils(at=5)", "spoils(at=5,batches=4,silent=true)"
MEASURED = [*SMALL_MODEL, "measure=quick"]


@pytest.fixture(scope="module")
def sweep(copy):
    """(the finished command, its folder): two spoil CUDA in the first cell, one kills its process in the second.

    The run begins in its own process, and goes on in others from the first cell on.
    """
    chosen = f"strategies=[full_recompute,static_kv,'{RAISES}','{SILENT}','dies(at=6)']"
    done = suites(
        "run", "seq_len=5,6,7", chosen, *MEASURED, "isolate=none", "hydra.sweep.dir=run", folder=copy, packages=copy
    )
    return done, copy / "run"


@pytest.fixture
def table(sweep):
    done, folder = sweep
    assert (folder / "table.csv").exists(), done.stderr
    return read_tables(folder)[0].set_index(["tgt_len", "strategy"])


def labels(table):
    return list(table.loc[7].index)


def test_those_that_spoil_cuda_are_failed_rows_with_the_reason_and_the_traceback(sweep, table):
    for label in labels(table)[2:4]:
        row = table.loc[5, label]
        assert row["status"] == "failed"
        assert row["reason"].startswith("AcceleratorError: CUDA error: device-side assert triggered; traceback in ")
        kept = sweep[1] / row["reason"].rpartition("traceback in ")[2]
        assert "raise torch.AcceleratorError" in kept.read_text()


def test_all_others_of_that_cell_are_measured_and_so_are_later_cells(table):
    good = ["full_recompute", "static_kv", "dies(at=6)"]
    assert (table.loc[5].loc[good, ["status", "rounds"]] == ["ok", 3]).all().all()
    assert (table.loc[7][["status", "rounds"]] == ["ok", 3]).all().all()


def test_times_of_a_cell_come_from_one_process(sweep):
    cells = {cell.cell["tgt_len"]: cell for cell in read_cells(sweep[1])}
    for length, labels in ((5, 3), (6, 4), (7, 5)):
        assert len(cells[length].rounds) == labels * (3 + 1)
        assert cells[length].conditions is not None


def test_each_time_the_process_is_another(copy, sweep):
    noted = [line.split() for line in (copy / "strategies" / "spoiling.pids").read_text().splitlines()]
    processes = {length: list(dict.fromkeys(pid for at, pid in noted if at == length)) for length in "567"}
    assert [len(processes[length]) for length in "567"] == [3, 2, 1]
    assert len({*processes["5"], *processes["6"], *processes["7"]}) == 6
    assert not any(psutil.pid_exists(int(pid)) for pids in processes.values() for pid in pids)


def test_the_arm_that_kills_its_process_is_a_failed_row_and_the_others_are_measured(table):
    assert table.loc[(6, "dies(at=6)"), ["status", "reason"]].to_list() == [
        "failed",
        "its process was ended by SIGSEGV",
    ]
    others = table.loc[6].drop("dies(at=6)")
    assert (others[["status", "rounds"]] == ["ok", 3]).all().all()


def test_it_is_told_in_one_line_each(sweep):
    done, _ = sweep
    assert done.returncode == 1
    assert "Traceback" not in done.stderr + done.stdout
    told = [line for line in done.stderr.splitlines() if "spoiled" in line]
    why = "spoiled CUDA for this process (device-side assert triggered); what is left goes on in a fresh one"
    assert [line.partition(" ")[2] for line in told] == [why, why]
    assert [line.startswith("spoils(at=5") for line in told] == [True, True]
    why = "dies(at=6): its process was ended by SIGSEGV; what is left goes on in a fresh one"
    assert why in done.stderr.splitlines()


def test_a_second_interrupt_ends_the_other_process_too_and_keeps_what_is_finished(copy):
    chosen = f"strategies=[static_kv,'{RAISES}','stops(at=6,batches=4)']"
    given = ["seq_len=5,6,7", chosen, *MEASURED, "threads=1", "plots=false", "report=false", "hydra.sweep.dir=stopped"]
    _, _, hung = interrupted_twice(copy, 1, "-m", "suites", "run", *given)
    assert set(hung) == {6}
    with contextlib.suppress(psutil.NoSuchProcess):  # it may wait for a while until somebody asks how it ended
        assert psutil.Process(hung[6]).status() == psutil.STATUS_ZOMBIE
    table = read_tables(copy / "stopped")[0].set_index(["tgt_len", "strategy"])
    assert table["status"].loc[5].to_list() == ["ok", "failed", "ok"]
    assert set(table.loc[6]["reason"]) == {"interrupted"}


def test_a_job_arrives_in_another_process_as_it_was(tmp_path):
    job = CellJob(CELL, select("grid"), ["mine"], MeasureConfig(rounds=3, precision=0.02), tmp_path, isolate="process")
    assert CellJob.of_json(job.to_json()) == job


def test_what_the_operating_system_refuses_the_other_process_is_raised_here(tmp_path):
    (tmp_path / "cells").mkdir()
    (tmp_path / "cells" / CELL.id).write_text("a file where a folder should be")
    cells = Cells()
    try:
        with pytest.raises(FileExistsError, match=CELL.id):
            cells.run(
                CellJob(CELL, select("static_kv"), [], MeasureConfig(), tmp_path, isolate="process"), Progress(1, 1)
            )
    finally:
        cells.close()


def test_decode_ends_with_one_line_that_names_the_strategy(copy):
    chosen = "static_kv,spoils(at=8),contiguous_kv"
    done = suites("decode", "--strategies", chosen, "--max-new", "8", "tea", folder=copy, packages=copy)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()[-1:]
    assert line.startswith("decodebench: spoils(at=8) spoiled CUDA for this process: AcceleratorError: CUDA error: ")
    assert line.endswith("; mend it (CUDA_LAUNCH_BLOCKING=1 shows where), or leave it out")
    assert "Traceback" not in done.stderr


def test_profile_ends_with_one_line_that_names_the_strategy(copy):
    chosen = "strategies=[static_kv,'spoils(at=8)']"
    done = suites("profile", chosen, "seq_len=8", *SMALL_MODEL, folder=copy, packages=copy)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("decodebench: spoils(at=8)")
    assert "CUDA error: device-side assert triggered" in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr
