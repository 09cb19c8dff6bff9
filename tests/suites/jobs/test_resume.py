"""A run that is not whole is gone on with: what is measured anew, what is left alone, and what is refused."""

import json
import shutil

import pandas as pd
import pytest

from suites.settings.config import NO_CUDA
from suites.store.cell_state import Outcome, outcome_of, state_of
from suites.store.files import read_json, write_json
from suites.store.plan import read_plan
from tests.command import copy_packages, suites
from tests.resuming import KEYS

from .resumed import fail_an_arm, resume, rounds_of, states


def test_only_what_is_missing_or_failed_is_measured_anew(run_dir):
    entries = read_plan(run_dir)
    before = rounds_of(run_dir)
    shutil.rmtree(run_dir / "cells" / entries[0]["id"])
    fail_an_arm(run_dir)
    assert states(run_dir) == ["missing", "failed", "done"]
    done = resume(run_dir)
    assert done.returncode == 0, done.stderr
    assert "3 cells: 1 done, 0 running, 1 failed, 1 missing; 2 cells to measure" in done.stderr
    after = rounds_of(run_dir)
    assert [before[entry["id"]] == after[entry["id"]] for entry in entries] == [False, False, True]
    table = pd.read_csv(run_dir / "table.csv")
    assert len(table) == 6
    assert set(table["status"]) == {"ok"}
    assert not (run_dir / "again").exists()
    assert not (run_dir / "replaced").exists()


def test_the_same_command_into_the_same_folder_goes_on_with_the_run(run_dir):
    shutil.rmtree(run_dir / "cells" / read_plan(run_dir)[2]["id"])
    done = suites("run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=run_dir.parent)
    assert done.returncode == 0, done.stderr
    assert "1 missing; 1 cell to measure" in done.stderr
    assert states(run_dir) == ["done"] * 3


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ("seq_len=4,5", "that one has the cell"),
        ("seq_len=4,5,6,7", "this one has the cell"),
        ("batch_size=2", "batch_size is 1 there, and 2 here"),
        ("isolate=process", "has isolate=auto"),
        ("strategies=[full_recompute]", "has full_recompute, static_kv"),
        ("measure.rounds=3", "has measure.rounds=2"),
    ],
)
def test_another_plan_into_the_same_folder_is_refused(run_dir, changed, told):
    keys = [key for key in KEYS if not key.startswith(changed.partition("=")[0])]
    before = rounds_of(run_dir)
    done = suites("run", *keys, changed, f"hydra.sweep.dir={run_dir}", folder=run_dir.parent)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert "holds a run of another plan" in line
    assert told in line
    assert rounds_of(run_dir) == before


def test_arms_that_failed_twice_stay_failed_unless_they_are_asked_for(run_dir):
    folder = fail_an_arm(run_dir)
    write_json(folder / "try.json", {"number": 2})
    before = rounds_of(run_dir)
    done = resume(run_dir)
    assert done.returncode == 1
    assert "1 cell failed in 2 tries and stays so; --retry-failed measures it again" in done.stderr
    assert rounds_of(run_dir) == before
    assert resume(run_dir, "--retry-failed").returncode == 0
    assert states(run_dir) == ["done"] * 3
    assert read_json(folder / "try.json")["number"] == 3


def test_a_cell_that_was_interrupted_or_killed_is_missing(run_dir):
    killed, stopped, cut = (run_dir / "cells" / entry["id"] for entry in read_plan(run_dir))
    (killed / "arms.json").unlink()
    fail_an_arm(run_dir, 1, "interrupted")
    conditions = read_json(cut / "conditions.json")
    write_json(cut / "conditions.json", conditions | {"stopped_by": "interrupted"})
    assert states(run_dir) == ["missing"] * 3
    assert stopped.exists()


@pytest.mark.parametrize("damage", ["cell.json", "arms.json", "conditions.json"])
def test_a_damaged_file_makes_a_cell_missing(run_dir, damage):
    folder = run_dir / "cells" / read_plan(run_dir)[0]["id"]
    (folder / damage).write_text("{")
    assert states(run_dir) == ["missing", "done", "done"]


def test_a_cell_of_other_settings_than_the_plans_is_missing(run_dir):
    folder = run_dir / "cells" / read_plan(run_dir)[0]["id"]
    cell = read_json(folder / "cell.json")
    write_json(folder / "cell.json", cell | {"measure": cell["measure"] | {"rounds": 99}})
    assert states(run_dir) == ["missing", "done", "done"]


def test_what_was_measured_stays_where_the_new_try_comes_to_less_and_the_reason_is_told(run_dir):
    folder = fail_an_arm(run_dir)
    kept = (folder / "rounds.jsonl").read_text()
    plan = [json.loads(line) for line in (run_dir / "plan.jsonl").read_text().splitlines()]
    for entry in plan:
        entry["measure"]["memory_gib"] = 1e-6  # too little for any strategy, so that the new try fails
    (run_dir / "plan.jsonl").write_text("".join(json.dumps(entry) + "\n" for entry in plan))
    done = resume(run_dir)
    assert done.returncode == 1
    assert (folder / "rounds.jsonl").read_text() == kept
    tried = read_json(folder / "try.json")
    assert tried["number"] == 2
    assert "full_recompute: " in tried["reason"]
    again = resume(run_dir)
    assert "failed in 2 tries (last: full_recompute: " in again.stderr


def test_an_interrupted_cell_is_not_replaced_by_one_with_fewer_measured_cases(run_dir):
    """Otherwise the table would lose cases that it had, and would not be made again."""
    folder = run_dir / "cells" / read_plan(run_dir)[0]["id"]
    conditions = read_json(folder / "conditions.json")
    write_json(folder / "conditions.json", conditions | {"stopped_by": "interrupted"})
    measured = Outcome(ok=2, ended=False)
    assert outcome_of(folder) == measured
    assert Outcome(2, True).replaces(measured)
    assert not Outcome(1, True).replaces(measured)
    assert not Outcome(2, False).replaces(Outcome(1, True))
    assert Outcome(0, False).replaces(Outcome())


def test_a_cell_that_lacked_a_cuda_device_is_done_until_there_is_one(run_dir):
    folder = run_dir / "cells" / read_plan(run_dir)[0]["id"]
    arms = [
        arm | {"status": "skipped", "reason": f"{NO_CUDA}; give device=cpu"} for arm in read_json(folder / "arms.json")
    ]
    write_json(folder / "arms.json", arms)
    state = state_of(run_dir, read_plan(run_dir)[0])
    assert (state.status, state.is_left(), state.is_left(has_cuda=True)) == ("done", False, True)


def test_other_versions_or_another_machine_need_force(run_dir):
    entries = read_plan(run_dir)
    shutil.rmtree(run_dir / "cells" / entries[0]["id"])
    for entry in entries[1:]:
        path = run_dir / "cells" / entry["id"] / "environment.json"
        seen = read_json(path)
        write_json(path, seen | {"cpu": "Another CPU", "versions": seen["versions"] | {"torch": "1.0"}})
    done = resume(run_dir)
    assert done.returncode == 1
    line = done.stderr.splitlines()[-1]
    assert "2 cells of" in line
    assert "torch 1.0 there, " in line
    assert "CPU Another CPU there, " in line
    assert "--force" in line
    assert states(run_dir) == ["missing", "done", "done"]
    assert resume(run_dir, "--force").returncode == 0
    assert states(run_dir) == ["done"] * 3


def test_a_folder_without_a_plan_is_refused_in_one_line(run_dir):
    (run_dir / "plan.jsonl").unlink()
    for done in (resume(run_dir), suites("collect", str(run_dir), folder=run_dir.parent)):
        assert done.returncode == 1
        assert "has no plan.jsonl" in done.stderr
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["run", "--resume"], "--resume needs a folder; give --resume DIR"),
        (["run", "--resume", "nowhere"], "run.json does not exist"),
        (["run", "--resume", "RUN", "seq_len=8"], "seq_len=8 has no effect beside --resume"),
        (["run", "--resume", "RUN", "cluster.minutes=5"], "cluster.minutes=5 has no effect without Slurm"),
        (["run", "--resume", "RUN", "--no-wait"], "--no-wait has no effect without jobs of Slurm"),
        (["run", "--json", "--no-wait", "seq_len=4"], "--json is not allowed with --no-wait"),
        (["run", "--retry-failed", "seq_len=4"], "--retry-failed has no effect on a new run"),
        (["run", "--force", "--cfg", "job"], "--force is not allowed where nothing is run"),
    ],
)
def test_mistakes_are_one_line(run_dir, arguments, told):
    given = [str(run_dir) if word == "RUN" else word for word in arguments]
    done = suites(*given, folder=run_dir.parent)
    assert done.returncode == 1
    (line,) = done.stderr.splitlines()
    assert told in line


def test_a_strategy_that_is_gone_is_one_line_and_nothing_finished_is_lost(made, tmp_path):
    root = copy_packages(tmp_path / "copy", "blocks_kv")
    keys = [key for key in KEYS if not key.startswith("strategies")]
    chosen = "strategies=[full_recompute,blocks_kv]"
    suites("run", *keys, chosen, "hydra.sweep.dir=run", folder=root, packages=root, check=True)
    (root / "strategies" / "blocks_kv.py").unlink()
    shutil.rmtree(root / "run" / "cells" / read_plan(root / "run")[0]["id"])
    done = suites("run", "--resume", "run", folder=root, packages=root)
    assert done.returncode == 1
    assert "blocks_kv" in done.stderr.splitlines()[-1]
    assert states(root / "run") == ["missing", "done", "done"]


def test_a_link_to_a_run_is_followed_once_and_stays_a_link_to_it(run_dir):
    (run_dir.parent / "latest").symlink_to(run_dir.name)
    shutil.rmtree(run_dir / "cells" / read_plan(run_dir)[0]["id"])
    done = resume(run_dir.parent / "latest")
    assert done.returncode == 0, done.stderr
    assert (run_dir.parent / "latest").readlink().name == "run"
    assert states(run_dir) == ["done"] * 3


@pytest.mark.parametrize("damage", ["environment.json", "rounds.jsonl"])
def test_a_cell_whose_table_cannot_be_made_is_measured_anew(run_dir, damage):
    path = run_dir / "cells" / read_plan(run_dir)[0]["id"] / damage
    path.unlink()
    if damage == "environment.json":
        path.write_text("")
    assert states(run_dir) == ["missing", "done", "done"]
    assert resume(run_dir).returncode == 0


@pytest.mark.parametrize("command", ["'unbalanced", "hydra/launcher=joblib", ""])
def test_a_command_that_cannot_be_read_asks_for_no_launcher(run_dir, command):
    write_json(run_dir / "run.json", read_json(run_dir / "run.json") | {"command": command})
    assert resume(run_dir).returncode == 0


def test_a_launcher_that_is_not_installed_is_one_line(run_dir):
    shutil.rmtree(run_dir / "cells" / read_plan(run_dir)[0]["id"])
    command = "python -m suites run hydra/launcher=nope"
    write_json(run_dir / "run.json", read_json(run_dir / "run.json") | {"command": command})
    done = resume(run_dir)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "decodebench: unknown hydra/launcher 'nope'; known: basic"


def test_jobs_of_a_slurm_that_is_not_here_are_taken_for_ended_with_force_and_are_not_waited_for(run_dir):
    missing = read_plan(run_dir)[0]["id"]
    shutil.rmtree(run_dir / "cells" / missing)
    jobs = [{"cell": missing, "job": "7_0"}]
    write_json(run_dir / "run.json", read_json(run_dir / "run.json") | {"jobs": jobs})
    nowhere = {"folder": run_dir.parent, "PATH": str(run_dir / "no programs")}
    refused = suites("run", "--resume", str(run_dir), **nowhere)
    assert refused.returncode == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith("decodebench: Slurm's squeue is not found here")
    assert line.endswith("or give --force to take the jobs for ended")
    assert suites("run", "--resume", str(run_dir), "--force", **nowhere).returncode == 0
    assert states(run_dir) == ["done"] * 3
