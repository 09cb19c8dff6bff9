"""What the system, or somebody else's files, refuse: one line with path and remedy, and nothing of others is lost."""

import errno
import io
import json
import os
import shutil
import sys
from pathlib import Path

import pytest

from suites.__main__ import main
from suites.contenders.running.cache import bound, cache_of
from suites.settings.config import ConfigError
from suites.settings.overrides import compose_jobs, read_overrides
from suites.settings.own_package import foreign
from suites.store.cell_folder import read_cells
from suites.store.files import append_line, write_json
from suites.store.folders import make_run_dir
from suites.verbs.collected import tabulate

from .test_cell_folder import written

NO_SPACE = OSError(errno.ENOSPC, "No space left on device")


def one_line(capsys, *arguments: str) -> str:
    assert main([*arguments]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Traceback" not in error
    return error


def test_numbers_that_are_not_finite_are_written_as_null(tmp_path):
    write_json(tmp_path / "x.json", {"a": [float("nan"), -float("inf"), 1.5]})
    assert "".join((tmp_path / "x.json").read_text().split()) == '{"a":[null,null,1.5]}'


@pytest.mark.parametrize("lost", ["suites.plots.draw", "suites.verbs.collected.write_text"])
def test_the_answer_is_printed_where_the_disk_is_full(tmp_path, capsys, monkeypatch, lost):
    written(tmp_path)

    def full(*_):
        raise NO_SPACE

    monkeypatch.setattr(lost, full)
    assert main(["plot", str(tmp_path), "--retable"]) == 1
    said = capsys.readouterr()
    assert "speedup" in said.out
    assert f"`plot {tmp_path} --retable` and `report {tmp_path}` finish this folder" in said.err
    assert "No space left on device" in said.err
    assert (tmp_path / "table.csv").exists()


def no_steps(folder):
    (folder / "steps.csv").unlink()


def no_last_newline(folder):
    path = folder / "table.csv"
    path.write_bytes(path.read_bytes().rstrip())


def no_table(folder):
    (folder / "table.csv").write_text("nothing")


@pytest.mark.parametrize("spoil", [lambda folder: None, no_steps, no_last_newline, no_table])
def test_tables_are_not_replaced_by_ones_with_fewer_measured_cases(tmp_path, capsys, spoil):
    written(tmp_path)
    tabulate(tmp_path, plots=False)
    spoil(tmp_path)
    whole = (tmp_path / "table.csv").read_bytes()
    shutil.rmtree(tmp_path / "cells")
    assert "holds 1 measured cases" in one_line(capsys, "plot", str(tmp_path), "--retable")
    assert (tmp_path / "table.csv").read_bytes() == whole


def no_rounds(path):
    path.write_text("")


def shorter(path):
    rounds = [json.loads(line) for line in path.read_text().splitlines()]
    lines = [json.dumps(done | {"marks_s": done["marks_s"][:3]}) for done in rounds if "marks_s" in done]
    path.write_text("".join(f"{line}\n" for line in lines))
    arms = path.with_name("arms.json")
    arms.write_text(json.dumps([arm | {"steps": 5} for arm in json.loads(arms.read_text())]))


@pytest.mark.parametrize(("spoil", "said"), [(no_rounds, "holds 1 measured cases"), (shorter, "misses some of")])
def test_a_measured_case_has_all_its_rounds_and_steps(tmp_path, capsys, spoil, said):
    written(tmp_path)
    tabulate(tmp_path, plots=False)
    (rounds,) = tmp_path.glob("cells/*/rounds.jsonl")
    spoil(rounds)
    assert said in one_line(capsys, "plot", str(tmp_path), "--retable")


@pytest.mark.parametrize(("name", "value"), [("status", "great"), ("tgt_len", "inf"), ("batch_size", "-1")])
def test_a_table_that_no_run_made_is_refused(tmp_path, capsys, name, value):
    import pandas as pd

    written(tmp_path)
    tabulate(tmp_path, plots=False)
    table = pd.read_csv(tmp_path / "table.csv", dtype=str, keep_default_na=False).assign(**{name: value})
    table.to_csv(tmp_path / "table.csv", index=False)
    capsys.readouterr()
    for verb in ("plot", "report"):
        assert name in one_line(capsys, verb, str(tmp_path))


def test_a_full_disk_is_one_line_that_names_the_file(tmp_path, capsys, monkeypatch):
    written(tmp_path)

    def full(self, content):
        raise NO_SPACE

    monkeypatch.setattr(Path, "write_bytes", full)
    said = one_line(capsys, "plot", str(tmp_path), "--retable")
    assert f"{tmp_path / 'table.csv'}: No space left on device; free some space there" in said


def test_what_may_not_be_looked_at_is_one_line(tmp_path, capsys, monkeypatch):
    written(tmp_path)

    def forbidden(self, **_):
        raise PermissionError(errno.EACCES, "Permission denied", str(self))

    monkeypatch.setattr(Path, "exists", forbidden)
    for verb in ("plot", "report"):
        assert "Permission denied" in one_line(capsys, verb, str(tmp_path))


def test_a_round_that_a_limit_cuts_leaves_the_ones_before(tmp_path):
    path = written(tmp_path)
    before = path.read_bytes()
    child = os.fork()
    if not child:
        import resource

        resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) + 5, len(before) + 5))
        try:
            append_line(path, "x" * 99)
        except OSError as error:
            os._exit(0 if error.errno == errno.EFBIG and error.filename == str(path) else 2)
        os._exit(1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert path.read_bytes() == before
    assert len(read_cells(tmp_path)[0].rounds) == 4


@pytest.mark.parametrize("arguments", [["list", "sweeps"], ["run", "--cfg", "job"]])
def test_standard_output_that_is_full_or_closed_is_told_or_nothing(arguments, capsys, monkeypatch):
    class Full(io.StringIO):
        def write(self, text):
            raise NO_SPACE

        def flush(self):
            raise NO_SPACE

        def fileno(self):
            raise OSError

    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", Full())
        assert main(arguments) == 1
    assert capsys.readouterr().err.startswith("decodebench: standard output: No space left on device; ")
    with monkeypatch.context() as patch:
        patch.setattr("sys.stdout", None)
        assert main(arguments) == 0
        sys.stdout.close()


def test_a_folder_that_was_deleted_under_us_is_said(tmp_path, monkeypatch, capsys):
    def gone():
        raise FileNotFoundError(errno.ENOENT, "No such file or directory")

    monkeypatch.setattr(os, "getcwd", gone)
    assert "the folder in which you are was deleted" in one_line(capsys, "run", "hydra.run.dir=x", "model=tiny")


@pytest.mark.parametrize("given", ["hydra.run.dir=", "hydra.run.dir=null", "hydra.job.chdir=true"])
def test_a_run_folder_is_a_plain_place(given):
    with pytest.raises(ConfigError, match="is not allowed"):
        read_overrides([given])


def test_a_folder_with_a_backslash_is_absolute_at_once(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert read_overrides([r"hydra.run.dir='x\y'"]).run_dir == tmp_path / r"x\y"


def test_a_folder_of_others_is_refused_and_one_of_ours_or_an_empty_one_is_not(tmp_path):
    (tmp_path / "mine.py").touch()
    with pytest.raises(ConfigError, match=r"holds mine\.py"):
        make_run_dir(tmp_path, "run")
    assert make_run_dir(tmp_path, "compare", beside=("compare.csv", "plots")) == tmp_path
    (tmp_path / "plots").mkdir()
    with pytest.raises(ConfigError, match="holds plots"):
        make_run_dir(tmp_path, "compare", beside=("compare.csv", "plots"))
    (tmp_path / "compare.csv").touch()
    assert make_run_dir(tmp_path, "compare", beside=("compare.csv", "plots")) == tmp_path
    (tmp_path / "new" / "plots").mkdir(parents=True)
    assert make_run_dir(tmp_path / "new", "run") == tmp_path / "new"


def test_checkpoints_for_contenders_are_bounded_and_have_a_place(tmp_path, monkeypatch):
    for age, name in enumerate(("new", "middle", "old")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model").write_bytes(b"x" * 10)
        os.utime(tmp_path / name, (10**9 - age, 10**9 - age))
    bound(tmp_path, kept_bytes=20)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["middle", "new"]
    bound(tmp_path, kept_bytes=0, in_use_s=float("inf"))
    assert len([*tmp_path.iterdir()]) == 2
    (tmp_path / "file").touch()
    monkeypatch.setattr("platformdirs.user_cache_path", lambda name: tmp_path / "file" / name)
    assert cache_of(tmp_path / "run") == tmp_path / "run" / "contenders"


def test_another_package_of_our_name_is_named_and_its_conf_is_not_ours(tmp_path, monkeypatch, capsys):
    for name in ("conf", "intruder"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert "intruder/__init__.py comes before decodebench's own package intruder" in foreign("intruder")
    assert foreign("strategies") == ""
    monkeypatch.delitem(sys.modules, "conf", raising=False)
    assert main(["list", "sweeps"]) == 0
    assert "seq_len" in capsys.readouterr().out
    assert compose_jobs(read_overrides(["model=tiny", "seq_len=4"]))[0].config.seq_len == 4
