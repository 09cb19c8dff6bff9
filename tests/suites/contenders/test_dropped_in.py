"""A file dropped in is a contender; one that crashes, hangs, is killed, errs or is not installed is a row."""

import json
import re
import shutil

import pytest

from suites.store.cell_folder import read_cells
from suites.tables.case_table import case_table
from suites.tables.step_table import step_table
from suites.tables.table_files import read_tables
from tests.command import ROOT, SMALL_MODEL, copy_packages, suites

BEST = "parrot(threads=best)"
NAMES = ["own", BEST, "crashes", "raises", "hangs", "killed", "wrong", "coarse", "blind", "short", "absent", "lacks"]
ARGUMENTS = ["run", "seq_len=5", "batch_size=2", *SMALL_MODEL, "measure=quick"]


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with the file in them."""
    root = copy_packages(tmp_path_factory.mktemp("copy"))
    shutil.copy(ROOT / "tests" / "drop_ins" / "odd_contenders.py", root / "suites" / "contenders" / "mine.py")
    return root


@pytest.fixture(scope="module")
def mixed(copy):
    """(the finished command, its folder): all of them, some of which fail."""
    chosen = f"contenders=[{','.join(map(repr, NAMES))}]"
    more = [chosen, "measure.contender_seconds_max=4", "measure.aa=true", "hydra.run.dir=mixed", "plots=true"]
    asked = [*ARGUMENTS, "strategies=[full_recompute,static_kv]", *more]
    return suites(*asked, folder=copy, packages=copy), copy / "mixed"


@pytest.fixture
def table(mixed):
    done, folder = mixed
    assert (folder / "table.csv").exists(), done.stderr
    return read_tables(folder)[0].set_index("strategy")


def test_it_is_measured_and_compared_beside_the_strategies(mixed, table):
    assert list(table.index) == ["full_recompute", "static_kv", *NAMES]
    own = table.loc["own"]
    assert (own["status"], own["reason"], own["tokens_equal"], own["rounds"]) == ("ok", "", "yes", 3)
    assert (own[["prefill_s", "ttft_s", "itl_s", "tpot_s", "e2e_s", "e2e_ratio", "throughput_tokens_per_s"]] > 0).all()
    assert own["baseline"] == "full_recompute"
    assert own["e2e_verdict"] != ""


def test_its_best_number_of_threads_is_a_row_that_says_how_many_they_are(table):
    row = table.loc[BEST]
    assert re.fullmatch(r"with threads=(\d+), the fastest of (\d+, )*\1(, \d+)*; the cell has \d+", row["reason"])
    assert (row["status"], row["tokens_equal"], row["rounds"]) == ("ok", "yes", 3)


def test_one_of_which_only_start_and_return_are_known_is_compared_end_to_end_alone(mixed, table):
    blind = table.loc["blind"]
    assert (blind["status"], blind["rounds"]) == ("ok", 3)
    assert (blind[["e2e_s", "e2e_ratio", "throughput_tokens_per_s"]] > 0).all()
    assert blind[["prefill_s", "ttft_s", "itl_s", "tpot_s", "mbu", "crossover_k"]].isna().all()
    assert blind["e2e_verdict"] != ""
    assert "blind" not in read_tables(mixed[1])[1]["strategy"].tolist()
    advice = (mixed[1] / "advice.txt").read_text()
    assert "own" in advice.partition("from which token on it pays")[2]
    assert "blind never" not in advice


def test_what_cannot_be_asked_of_it_is_empty(table):
    unknown = [
        "max_logit_error", "executed_flops", "necessary_flops", "flops_waste", "step_bytes", "kv_reserved_bytes",
        "kv_used_bytes", "peak_memory_bytes",
    ]  # fmt: skip
    assert table.loc["own", unknown].isna().all()
    assert table.loc["static_kv", unknown].notna().all()
    assert table.loc["own", "rss_bytes"] > 0


@pytest.mark.parametrize(
    ("name", "status", "reason"),
    [
        ("crashes", "failed", "its process ended with exit code 3: no more memory in the engine"),
        ("raises", "failed", "ValueError: a bad batch"),
        ("hangs", "failed", "no answer (measure.contender_seconds_max=S allows more) within 4 s"),
        ("killed", "failed", "its process was ended by SIGKILL"),
        ("wrong", "invalid", "step 3: row 1 has token "),
        ("coarse", "ok", "other numerics: "),
        ("short", "failed", "ended a row after 4 of 5 tokens without an end token"),
        ("absent", "skipped", "no-such-engine is not installed; pip install no-such-engine"),
        ("lacks", "skipped", "the engine was built without this kind of processor"),
    ],
)
def test_what_becomes_of_each_is_told_and_the_others_go_on(mixed, table, name, status, reason):
    assert table.loc[name, "status"] == status
    assert table.loc[name, "reason"].startswith(reason)
    assert reason in mixed[0].stdout
    assert (table.loc[["full_recompute", "static_kv", "own"], "rounds"] == 3).all()


def test_a_failure_is_exit_1_without_a_traceback(mixed):
    assert mixed[0].returncode == 1
    assert "Traceback" not in mixed[0].stderr


def test_the_closing_table_ranks_it_without_figures_that_it_has_not(mixed):
    (line,) = (line for line in mixed[0].stdout.splitlines() if line.startswith("own "))
    assert "nan" not in line


def test_plots_show_it_where_time_is_shown_and_nowhere_nan(mixed):
    plots = {path.stem: path.read_text() for path in (mixed[1] / "plots").glob("*.svg")}
    for name in ("totals", "step_latency"):
        assert ">own<" in plots[name].replace("\n", "")
    assert all("nan" not in text for svg in plots.values() for text in svg.split(">") if "</text" in text)
    assert ">own<" not in plots["flops"].replace("\n", "")


def test_steps_hold_its_latency_alone(mixed):
    steps = read_tables(mixed[1])[1]
    own = steps[steps["strategy"] == "own"]
    assert own["k"].tolist() == [1, 2, 3, 4, 5]
    assert (own["latency_s"] > 0).all()
    assert own[["flops", "weight_bytes", "self_kv_bytes"]].isna().all().all()


def test_the_run_is_read_back_equal_to_what_its_raw_rounds_give(mixed):
    cells = read_cells(mixed[1])
    table, steps = read_tables(mixed[1])
    assert table.equals(case_table(cells)[table.columns])
    assert steps.equals(step_table(cells)[steps.columns].astype(steps.dtypes.to_dict()))


def test_a_killed_run_keeps_its_contenders_as_rows(mixed, tmp_path):
    shutil.copytree(mixed[1], tmp_path / "run")
    (cell,) = (tmp_path / "run" / "cells").iterdir()
    (cell / "arms.json").unlink()
    (result,) = read_cells(tmp_path / "run")
    assert [fact.strategy for fact in result.arms] == ["full_recompute", "static_kv", *NAMES]


def test_one_that_is_not_installed_is_skipped_with_exit_0(copy):
    done = suites(*ARGUMENTS, "strategies=static_kv", "contenders=absent", folder=copy, packages=copy)
    assert done.returncode == 0, done.stderr
    assert "skipped: absent in 1 cell: no-such-engine is not installed; pip install no-such-engine" in done.stdout


def test_it_is_listed_with_its_first_line(copy):
    listed = suites("list", "contenders", folder=copy, packages=copy).stdout
    assert "This project's static_kv, as if it were another's" in listed
    assert "Not installed (no-such-engine is not installed; pip install no-such-engine)" in listed


def test_the_cell_says_which_were_asked_for(mixed):
    (cell,) = (mixed[1] / "cells").iterdir()
    assert json.loads((cell / "cell.json").read_text())["contenders"] == NAMES


def test_the_traceback_of_a_contender_is_beside_the_cell_and_its_row_names_it(table, mixed):
    (kept,) = (mixed[1] / "cells").glob("*/traceback-raises.txt")
    folder = f"cells/{kept.parent.name}"
    assert table.loc["raises", "reason"] == f"ValueError: a bad batch; traceback in {folder}/traceback-raises.txt"
    assert table.loc["crashes", "reason"].endswith(f"; traceback in {folder}/traceback-crashes.txt")
    assert 'raise ValueError("a bad batch")' in kept.read_text()
    assert "no more memory in the engine" in kept.with_name("traceback-crashes.txt").read_text()
