"""The command stopped by a signal: a round in progress is finished, tables and summary are made, the code tells."""

import re
import signal

import pytest

from suites.tables.table_files import read_tables
from tests.command import SMALL_MODEL, copy_packages, suites

ROUNDS = ["measure.rounds=60", "measure.warmup=0"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with a strategy that sends signals."""
    return copy_packages(tmp_path_factory.mktemp("copy"), "spoiling")


def stopped(copy, folder, number, batches, isolate="none"):
    chosen = f"strategies=[full_recompute,'signals(at=6,batches={batches},number={number})']"
    given = ["run", "seq_len=5,6,7", chosen, *SMALL_MODEL, *ROUNDS, f"hydra.sweep.dir={folder}", f"isolate={isolate}"]
    done = suites(*given, folder=copy, packages=copy)
    assert "Traceback" not in done.stdout + done.stderr
    return done, read_tables(copy / folder)[0].set_index(["tgt_len", "strategy"])


@pytest.mark.parametrize(
    ("number", "code", "isolate"),
    [(signal.SIGINT, 130, "none"), (signal.SIGHUP, 129, "none"), (signal.SIGTERM, 143, "process")],
)
def test_the_round_ends_and_everything_is_made_of_what_there_is(copy, number, code, isolate):
    done, table = stopped(copy, f"once{code}", int(number), 30, isolate)
    assert done.returncode == code
    assert set(table.index.get_level_values("tgt_len")) == {5, 6}
    assert (table["status"] == "ok").all()
    assert (table.loc[5, "rounds"] == 60).all()
    (rounds,) = set(table.loc[6, "rounds"])
    assert 2 <= rounds < 60
    assert f"interrupted: batch 1, 6 -> 6 tokens after {rounds} of 60 rounds" in done.stdout
    assert "\n1 planned cell has no result yet\n" in done.stdout
    assert f"what is left (2 cells):\n  python -m suites run --resume once{code}\n" in done.stdout
    assert not re.search("failed|careful", done.stdout)
    assert (copy / f"once{code}" / "advice.txt").exists()
    assert done.stderr.count("stopping once the round in progress is done; Ctrl-C again stops now") == 1
    assert done.stderr.splitlines()[-1] == "decodebench: interrupted; what was finished is kept"


def test_in_set_up_it_stops_at_once_and_finished_cells_are_kept(copy):
    done, table = stopped(copy, "before", 2, 0)
    assert done.returncode == 130
    assert (table.loc[5, "status"] == "ok").all()
    assert set(table.loc[6, "reason"]) == {"interrupted"}
    assert "stopping once" not in done.stderr
