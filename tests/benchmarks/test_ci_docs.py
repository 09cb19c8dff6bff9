"""What CI runs and what docs/ci.md promises: the workflow, the summary, and the two guards of another repository."""

import itertools
import os
import re
import subprocess
import sys
import types

import pytest
import torch
import yaml
from pytest_benchmark.utils import get_machine_id

from strategies import ModelSpec, Session, greedy, load_model, parse
from suites.guarding.budget_file import BudgetError
from suites.telling import step_summary
from tests.benchmarks import conftest
from tests.command import ROOT

DOCS = (ROOT / "docs" / "ci.md").read_text()
WORKFLOW = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())
TARGETS = re.findall(r"^([\w-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE)
SHAPE = {"vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1}
TINY = ModelSpec("tiny", "random", shape=tuple({**SHAPE, "decoder_layers": 1, "architecture": "t5"}.items()))


def steps():
    return [step for job in WORKFLOW["jobs"].values() for step in job["steps"]]


def test_the_workflow_runs_on_push_and_its_commands_are_make_targets_alone():
    assert "push" in WORKFLOW[True], "YAML reads the key `on` as true"
    for step in steps():
        if "run" in step:
            assert re.fullmatch(r"make [\w-]+", step["run"]), step
            assert step["run"].split()[1] in TARGETS
        else:
            assert step["uses"].split("@")[0] in ("actions/checkout", "actions/setup-python"), step


def test_the_workflow_runs_budgets_and_times():
    assert [step["run"] for step in steps() if "run" in step] == [
        "make test", "make test", "make test-browser", "make docs", "make bench", "make bench-compare",
        "make venv-dev", "make gpu-check",
    ]  # fmt: skip
    (compare,) = (step for step in steps() if step.get("run") == "make bench-compare")
    assert "BASE" in compare["env"]


def test_a_second_job_passes_the_tests_with_the_oldest_torch_that_is_supported():
    (constraint,) = (ROOT / ".github" / "oldest.txt").read_text().split()
    (required,) = re.findall(r'"torch>=([\d.]+),', (ROOT / "pyproject.toml").read_text())
    assert constraint == f"torch=={required}.*"
    job = WORKFLOW["jobs"]["oldest"]
    assert job["env"]["PIP_CONSTRAINT"].endswith("/.github/oldest.txt")
    assert job["steps"][-1]["run"] == "make test"


def test_the_check_of_a_gpu_has_a_dry_run_each_night_and_nothing_else_has():
    assert WORKFLOW[True]["schedule"]
    events = {name: job["if"] for name, job in WORKFLOW["jobs"].items()}
    nightly = [name for name, event in events.items() if event == "github.event_name == 'schedule'"]
    assert nightly == ["gpu-check"]
    assert {event for name, event in events.items() if name not in nightly} == {"github.event_name == 'push'"}
    assert WORKFLOW["jobs"]["gpu-check"]["steps"][-1]["env"]["DEVICE"] == "cpu"


def test_the_workflow_takes_torch_without_cuda_in_every_job():
    assert WORKFLOW["env"]["PIP_EXTRA_INDEX_URL"] == "https://download.pytorch.org/whl/cpu"
    assert not any("PIP_EXTRA_INDEX_URL" in step.get("env", {}) for step in steps())


@pytest.mark.parametrize("target", ["bench", "bench-compare", "budgets", "bench-harness", "gpu-check"])
def test_every_target_that_the_docs_name_is_there_and_phony(target):
    assert target in TARGETS
    makefile = (ROOT / "Makefile").read_text().replace("\\\n", " ")  # a long line goes on in the next
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, re.MULTILINE)
    assert target in phony.split()


def timed(folder, *arguments, **environment):
    """pytest in ``folder`` as ``make bench`` calls it."""
    (options,) = re.findall(r"^TIMED\s*:= (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments, *options.split()]
    # A test process that is itself one of several would tell its child so, and pytest-benchmark goes by that.
    alone = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")} | environment
    return subprocess.run(command, cwd=folder, env=alone, capture_output=True, text=True, check=False, timeout=120)


def test_the_makefile_turns_benchmarks_on_against_the_configuration_of_pytest(tmp_path):
    """Which turns them off, and so does spreading tests over processes."""
    (tmp_path / "test_it.py").write_text(
        "def test_it(benchmark):\n    assert benchmark.enabled\n    benchmark(sum, ())\n"
    )
    done = timed(tmp_path, "-c", ROOT / "pyproject.toml", "test_it.py")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "1 passed" in done.stdout


SLOW = """
import dataclasses, time
from strategies import Session
from tests.benchmarks import test_strategies

def slow(step):
    def stepping(self, *args):
        time.sleep(0.05 * (self.strategy.label != "full_recompute"))
        return step(self, *args)
    return stepping

Session.step = slow(Session.step)
test_strategies.CELL = dataclasses.replace(test_strategies.CELL, tgt_len=4)
test_strategies.ROUNDS = 3
"""


def test_a_slow_step_fails_make_bench_by_name(tmp_path):
    (tmp_path / "slow.py").write_text(SLOW)
    summary = tmp_path / "summary.md"
    environment = {"PYTHONPATH": str(tmp_path), "GITHUB_STEP_SUMMARY": str(summary)}
    done = timed(ROOT, "-p", "slow", "tests/benchmarks/test_strategies.py", "-k", "contiguous_kv", **environment)
    assert done.returncode == 1, done.stdout + done.stderr
    assert re.search(r"^contiguous_kv: .* is slower than full_recompute by more than 5% and above", done.stdout, re.M)
    assert "| slower, above its ceiling |" in summary.read_text()


@pytest.mark.parametrize("asked", ["--benchmark-compare", "--benchmark-compare=0007"])
def test_comparing_without_saved_times_is_told_in_one_line(tmp_path, asked):
    config = types.SimpleNamespace(
        getoption={"benchmark_compare": asked.partition("=")[2] or True, "benchmark_storage": f"file://{tmp_path}"}.get
    )
    with pytest.raises(pytest.UsageError, match=r"no saved times in .*; save some by make bench OPTIONS=--bench"):
        conftest.pytest_configure(config)
    saved = tmp_path / get_machine_id() / "0007_times.json"
    saved.parent.mkdir()
    saved.write_text("{}")
    conftest.pytest_configure(config)


def test_the_summary_is_added_to_the_jobs_file_and_cut_below_a_megabyte(tmp_path, monkeypatch):
    file = tmp_path / "summary.md"
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(file))
    step_summary.post("first")
    for _ in range(3):
        step_summary.post("\n".join(["| a row of a table, § |"] * 20_000))
    assert file.stat().st_size <= step_summary.LIMIT_BYTES
    assert file.read_text().startswith("first\n|")
    assert file.read_text().endswith(step_summary.CUT)
    assert set(file.read_text().splitlines()[1:41_000]) <= {
        "| a row of a table, § |",
        "",
        *step_summary.CUT.splitlines(),
    }


def test_without_a_job_nothing_is_posted(tmp_path, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    monkeypatch.chdir(tmp_path)
    step_summary.post("text")
    assert not list(tmp_path.iterdir())


def code_of(name):
    """What docs/ci.md shows under this file name."""
    (code,) = re.findall(rf"```python\n(# {name}\n.*?)```", DOCS, re.DOTALL)
    return code


def snippet(name):
    """The same as a module."""
    module = types.ModuleType(name.removesuffix(".py"))
    exec(compile(code_of(name), name, "exec"), module.__dict__)
    return module


@pytest.mark.parametrize("name", ["test_budget.py", "test_pace.py"])
def test_a_guard_of_another_repository_is_at_most_ten_lines_of_code(name):
    lines = [line for line in code_of(name).splitlines() if line.strip() and not line.strip().startswith("#")]
    assert len(lines) <= 10
    assert max(map(len, lines)) <= 120


class Decoder(torch.nn.Module):
    """Of another repository: grows what it reads by a row at each step; ``asks`` is the mistake that it makes later."""

    asks = False

    def __init__(self):
        super().__init__()
        self.project = torch.nn.Linear(4, 4)

    def decode(self, source):
        rows = source
        for _ in range(5):
            row = self.project(rows.mean(0, keepdim=True))
            rows = torch.cat((rows, row))
            if self.asks:
                row.sum().item()
            yield row


def test_the_budget_of_another_repositorys_decoder_in_the_docs_works(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    mine = types.SimpleNamespace(Decoder=Decoder, source=torch.ones(3, 4))
    monkeypatch.setitem(sys.modules, "mine", mine)
    theirs = snippet("test_budget.py")
    theirs.rewrite("budgets.toml", theirs.budgets())
    theirs.test_a_step_asks_what_was_reviewed()
    monkeypatch.setattr(Decoder, "asks", True)
    with pytest.raises(BudgetError, match=r"synchronisations grew: first step 0 -> 1 \(\+1\)(.|\n)*python test_budget"):
        theirs.test_a_step_asks_what_was_reviewed()


def test_the_pace_of_another_repositorys_decoder_in_the_docs_works(monkeypatch):
    """On a clock that counts steps, so that no machine decides."""
    source = torch.full((1, 5), 2)
    session = Session(load_model(TINY), parse("static_kv"), 1, 5, 64)
    steps = 0
    step = Session.step

    def counted(*given):
        nonlocal steps
        steps += 1
        return step(*given)

    def clock(timed, number):
        before = steps
        timed()
        return steps - before

    def decode(source, count):
        session.prefill(source)
        return list(itertools.islice(greedy(session, "fixed"), count))

    monkeypatch.setattr(Session, "step", counted)
    monkeypatch.setattr("suites.guarding.pairs.timeit", clock)
    monkeypatch.setitem(sys.modules, "mine", types.SimpleNamespace(CHECKPOINT=TINY, decode=decode, source=source))
    snippet("test_pace.py").test_it_keeps_pace_with_static_kv()
    sys.modules["mine"].decode = lambda *given: (decode(*given), decode(*given))
    with pytest.raises(AssertionError):
        snippet("test_pace.py").test_it_keeps_pace_with_static_kv()
