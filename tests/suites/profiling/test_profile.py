"""``python -m suites profile`` as a user has it."""

import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch
from omegaconf import OmegaConf

from strategies import select
from suites.__main__ import main
from suites.profiling import diff, report
from suites.profiling import printed as printed_tables
from suites.profiling.tables import KINDS, step_of
from suites.profiling.trace import ROUNDS
from suites.verbs import profile as verb
from suites.words.quantity import quantity
from tests.command import SMALL_MODEL, suites


@pytest.fixture(scope="module")
def command(tmp_path_factory):
    """The finished command with two strategies and its run folder."""
    folder = tmp_path_factory.mktemp("command")
    strategies = "strategies=[static_kv,'static_kv(capacity=16,read=buffer)']"
    done = suites("profile", strategies, "seq_len=8", *SMALL_MODEL, "--steps", "2", folder=folder, check=True)
    (run_dir,) = (folder / "results").iterdir()
    return done, run_dir


LABELS = ["static_kv", "static_kv(capacity=16,read=buffer)"]


def test_a_user_sees_the_shares_first_the_tables_and_where_the_traces_are(command):
    done, run_dir = command
    lines = done.stdout.splitlines()
    for line, label in zip(lines, LABELS, strict=False):
        shares = re.fullmatch(
            re.escape(label)
            + r": a step is (\d+) % matrix products, (\d+) % other operators, (\d+) % Python and dispatch",
            line,
        )
        assert sum(map(int, shares.groups())) == 100
    assert f"{LABELS[0]}, prefill and 2 steps, k = 7 to 8, on cpu" in lines
    # Torch warns of memory that the process had from the one that it was forked from.
    assert [
        line for line in done.stderr.splitlines() if not line.endswith("s left") and "CPUAllocator" not in line
    ] == []
    assert "\x1b" not in done.stdout
    traces = sorted(run_dir.glob("profile/*/decodebench.*.pt.trace.json"))
    assert [path.parent.name for path in traces] == ["static_kv", "static_kv-capacity-16-read-buffer"]
    for label, path in zip(LABELS, traces, strict=True):
        told = f"trace of {label}: {path.relative_to(run_dir.parent.parent)} ({quantity(path.stat().st_size, 'B')})"
        assert told in lines
    assert "this trace is over" not in done.stdout
    assert "https://ui.perfetto.dev" in done.stdout


def test_the_run_folder_holds_tables_traces_configuration_and_machine_and_is_not_the_latest_run(command):
    _, run_dir = command
    assert run_dir.name.endswith("_profile")
    names = ["config.yaml", "environment.json", "operators.csv", "profile", "ranges.csv", "unprofiled.csv"]
    assert sorted(path.name for path in run_dir.iterdir()) == names
    config = OmegaConf.load(run_dir / "config.yaml")
    assert [strategy.label for strategy in select(list(config.strategies))] == LABELS
    assert (config.seq_len, config.device, "measure" in config) == (
        8,
        "cuda" if torch.cuda.is_available() else "cpu",
        False,
    )
    assert config.threads >= 1
    unprofiled = pd.read_csv(run_dir / "unprofiled.csv")
    assert unprofiled[["strategy", "round"]].values.tolist() == [[label, i] for label in LABELS for i in range(ROUNDS)]


def test_what_is_printed_is_what_the_files_hold(command):
    done, run_dir = command
    blocks = re.split(r"\n\n", done.stdout)
    ranges, operators = pd.read_csv(run_dir / "ranges.csv"), pd.read_csv(run_dir / "operators.csv")
    assert ranges["strategy"].unique().tolist() == operators["strategy"].unique().tolist() == LABELS
    for index, label in enumerate(LABELS):
        shown = [line.split() for line in blocks[1 + 2 * index].splitlines()[2:]]
        mine = ranges[ranges["strategy"] == label].to_dict("records")
        assert [row[0] for row in shown] == [row["range"].split("/")[-1] for row in mine]
        for printed, row in zip(shown, mine, strict=True):
            times = " ".join(quantity(row[name], "s") for name in ("time_s", "self_s"))
            shares = " ".join(f"{100 * row[name] / row['time_s']:.1f}" for name in KINDS)
            text = f"{row['calls']} {times} {100 * row['share']:.1f} {shares} {row['products']}"
            assert " ".join(printed[1:]) == f"{text} {quantity(row['allocated_bytes'], 'B')}"
        lines = blocks[2 + 2 * index].splitlines()[2:]
        mine = operators[(operators["strategy"] == label) & (operators["range"] == "decode_step")]
        for line, row in zip(lines[: printed_tables.TOP], mine.to_dict("records"), strict=False):
            numbers = f"{row['calls']} {quantity(row['self_s'], 's')} {100 * row['share']:.1f}"
            shapes = "" if pd.isna(row["shapes"]) else row["shapes"]
            text = f"{row['operator']} {numbers} {quantity(row['allocated_bytes'], 'B')} {shapes}"
            assert " ".join(line.split()) == text.strip()
        assert lines[printed_tables.TOP] == f"and {len(mine) - printed_tables.TOP} more in operators.csv"


@pytest.fixture
def profile(capsys, monkeypatch, tmp_path):
    """``profile(*arguments)`` in this process -> (exit code, standard output, standard error)."""
    monkeypatch.chdir(tmp_path)
    for name in ("KINETO_LOG_LEVEL", "TORCH_CPP_LOG_LEVEL"):
        monkeypatch.setenv(name, "6" if name.startswith("KINETO") else "ERROR")

    def run(*arguments):
        code = main(["profile", *arguments])
        return code, *capsys.readouterr()

    return run


SMALL = [*SMALL_MODEL, "threads=1", "seq_len=8"]


def test_diff_needs_no_list_and_says_where_the_time_went_before_two_tables(profile, tmp_path):
    code, out, _ = profile(*SMALL, "--diff", "full_recompute", "static_kv", "--at", "2", "--steps", "1")
    assert code == 0
    lines = out.splitlines()
    assert [line.split(":")[0] for line in lines[:2]] == ["full_recompute", "static_kv"]
    (path,) = tmp_path.glob("results/*/ranges.csv")
    ranges = pd.read_csv(path)
    prose = " ".join(lines[2 : lines.index("")])
    unprofiled = (
        pd.read_csv(path.parent / "unprofiled.csv").groupby("strategy", sort=False)["step_s"].agg(list).to_dict()
    )
    assert prose.startswith(diff.sentence(ranges, diff.compare(ranges, ("full_recompute", "static_kv"), unprofiled)))
    key = lines.index("1 full_recompute")
    assert lines[key + 1 : key + 4] == ["2 static_kv", "", "a step, mean of 1 step, k = 2"]
    steps = [
        quantity(step_of(ranges[ranges["strategy"] == label])["time_s"], "s")
        for label in ("full_recompute", "static_kv")
    ]
    shown = next(line for line in lines if line.startswith("decode_step"))
    assert " ".join(shown.split()).startswith(f"decode_step {steps[0]} {steps[1]} ")
    config = OmegaConf.load(path.parent / "config.yaml")
    assert list(config.strategies) == ["full_recompute", "static_kv"]


def test_the_folder_of_a_measured_run_is_refused(profile, tmp_path):
    folder = tmp_path / "measured"
    folder.mkdir()
    (folder / "run.json").write_text("{}")
    code, out, err = profile(*SMALL, "strategies=[static_kv]", "hydra.run.dir=measured")
    assert (code, out) == (1, "")
    assert err == (
        "decodebench: run folder measured holds the run.json of a measured run, which a profile would overwrite in "
        "part; choose another by hydra.run.dir=DIR\n"
    )
    assert [path.name for path in folder.iterdir()] == ["run.json"]


def test_a_large_trace_is_warned_of_with_a_remedy(profile, monkeypatch):
    monkeypatch.setattr(report, "LARGE_BYTES", 1000)
    _, out, _ = profile(*SMALL, "strategies=[static_kv]", "--steps", "1", "hydra.run.dir=here")
    assert "warning: this trace is over 1000 B, viewers may fail; profile fewer --steps" in out
    assert Path("here/ranges.csv").exists()


MISTAKES = [
    (["strategies=[statik_kv]"], "unknown strategy 'statik_kv'; did you mean 'static_kv'?"),
    (["--diff", "static_kv", "nothing"], "unknown strategy 'nothing'"),
    (["--diff", "static_kv", "static_kv()"], "--diff static_kv static_kv is one strategy; give two that differ"),
    (["--diff", "static_kv", "cross_kv", "strategies=[static_kv]"], "--diff names cross_kv, which is not among"),
    (["--diff", "static_kv"], "profile: argument --diff: expected 2 arguments; see profile --help"),
    (["strategies=['static_kv(capacity=4)']"], "capacity=4 cannot hold a target of 8 tokens"),
    (["--at", "9"], "--at 9 is not allowed with tgt_len=8; give at most 8, or a larger tgt_len"),
    (["--steps", "9"], "--steps 9 is not allowed with tgt_len=8; give at most 8, or a larger tgt_len"),
    (["--at", "7", "--steps", "3"], "ends at step 9, beyond tgt_len=8; give --at 6 or less, or a larger tgt_len"),
    (["--at", "0"], "argument --at: 0 is not allowed; give a whole number of at least 1"),
    (["--steps", "two"], "argument --steps: two is not allowed"),
    (["--fast"], "unrecognized arguments: --fast"),
    (["seqlen=3"], "unknown key 'seqlen' in 'seqlen=3'; did you mean 'seq_len'?"),
    (["batch_size=1,2"], "profile takes one cell, not a sweep of 2"),
    (["+sweep=src_len"], "profile takes one cell, not a sweep of"),
    (["measure.stop=eos"], "profile: measure.stop=eos has no effect"),
    (["model=t5", "model.checkpoint=/nowhere"], "/nowhere is not a folder"),
    (["hydra.run.dir=/dev/null"], "cannot make the run folder"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_nothing_is_written(profile, tmp_path, arguments, said):
    code, out, err = profile(*(SMALL if "model=t5" not in arguments else ["seq_len=8"]), *arguments)
    assert (code, out) == (1, "")
    assert err.startswith("decodebench: ")
    assert err.count("\n") == 1
    assert said in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_a_missing_gpu_is_a_mistake_here(profile):
    assert "device=cuda: no CUDA device here; give device=cpu" in profile(*SMALL, "device=cuda")[2]


def test_help_comes_without_torch():
    code = "import sys; from suites.__main__ import main; main(['profile', '--help']); print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stdout.splitlines()[-1] == "False"
    for option in ("--diff", "--steps", "--at", "KEY=VALUE"):
        assert option in done.stdout


def test_steps_end_at_the_target_by_default():
    assert verb.step_range(None, None, 64) == range(61, 65)
    assert verb.step_range(None, None, 2) == range(1, 3)
    assert verb.step_range(63, None, 64) == range(63, 65)
    assert verb.step_range(1, 2, 64) == range(1, 3)
