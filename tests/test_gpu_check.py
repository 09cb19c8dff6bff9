"""The check of the CUDA path, without a GPU: its commands compose, its files are there, and its summary is right."""

import importlib.util
import json
import os
import re
import shlex
import subprocess
import sys

import pandas as pd
import pytest

from strategies import select, with_execution
from suites.contenders import select_contenders
from suites.settings.overrides import compose_jobs, read_overrides
from tests.command import ROOT
from tests.gpu_check import summary

SCRIPT = ROOT / "tests" / "gpu_check" / "run.sh"
VERBS = {"run", "profile", "roofline"}


def planned(device):
    """(name, limit in seconds, words of the command) of each step."""
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env={**os.environ, "PLAN": "1", "DEVICE": device},
        capture_output=True,
        text=True,
        check=True,
    )
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    return [(name, int(limit), shlex.split(command)) for name, limit, command in lines]


STEPS = {device: planned(device) for device in ("cpu", "cuda")}


def commands():
    """Each command of the project, for the GPU and for the dry run."""
    for device, steps in STEPS.items():
        for name, _, (_, _, module, *words) in steps:
            if module == "suites":
                yield pytest.param(words, id=f"{device}-{name}")


@pytest.mark.parametrize("words", list(commands()))
def test_each_command_of_the_project_can_be_composed(words):
    verb, *arguments = words
    assert verb in VERBS
    keys = [word for word in arguments if "=" in word]
    jobs = compose_jobs(read_overrides(keys))
    assert len(jobs) == 1 or verb == "run"
    for job in jobs:
        assert with_execution(select(job.config.strategies), job.config.execution)
        select_contenders(job.config.contenders)
        assert not job.config.report or verb != "run", "a page takes seconds, and can be made later"


@pytest.mark.parametrize("device", STEPS)
def test_each_program_and_file_of_a_step_is_there(device):
    for _, _, (_, flag, module, *words) in STEPS[device]:
        assert flag == "-m"
        assert importlib.util.find_spec(module) is not None
        for word in words:
            assert (ROOT / word).exists() or not word.startswith("tests/")


def test_the_step_of_the_tests_names_every_file_with_a_test_for_a_device():
    (words,) = (words for name, _, words in STEPS["cuda"] if name == "tests")
    marked = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("test_*.py")
        if re.search(r"mark\.cuda", path.read_text())
    }
    assert marked == {word for word in words if word.startswith("tests/")}


def test_the_dry_run_has_the_steps_of_the_check_but_for_cudnns_kernel():
    names = {device: [name for name, *_ in steps] for device, steps in STEPS.items()}
    assert [name for name in names["cuda"] if name not in names["cpu"]] == ["attention_cudnn"]
    assert len(set(names["cuda"])) == len(names["cuda"])


def test_the_steps_of_most_value_fit_into_its_time():
    """Even if each takes all of its own limit: what the wanted figures are read from."""
    needed = ("info", "tests", "bf16", "direct", "large")
    assert [name for name, *_ in STEPS["cuda"]][: len(needed)] == list(needed)
    assert sum(limit for name, limit, _ in STEPS["cuda"] if name in needed) <= 450


def test_a_step_that_fails_fails_the_check_after_the_others_and_is_named(tmp_path):
    python = tmp_path / "python"
    python.write_text(
        f'#!/bin/sh\n[ "$2" = tests.gpu_check.info ] && echo broken && exit 3\n'
        f'[ "$2" = tests.gpu_check.summary ] && exec {sys.executable} "$@"\necho "ran $2"\n'
    )
    python.chmod(0o755)
    out = tmp_path / "out"
    environment = {"PYTHON": str(python), "DEVICE": "cpu", "OUT": str(out), "WORK": str(tmp_path / "work")}
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env={**os.environ, **environment, "ONLY": "info attention"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1, done.stdout + done.stderr
    assert "ran tests.gpu_check.attention" in done.stdout
    assert "failed steps: info (exit status 3 after" in (out / "summary.txt").read_text()
    assert {path.name for path in out.iterdir()} == {"log.txt", "summary.txt", "tables.csv", "runs.tar.gz"}


@pytest.mark.parametrize(
    ("variables", "told"),
    [
        ({"DEVICE": "gpu"}, "DEVICE=gpu is not allowed; give cuda or cpu"),
        ({"SCALE": "0.5"}, "SCALE=0.5 is not allowed; give a whole number of at least 1"),
        ({"TOTAL": "soon"}, "TOTAL=soon is not allowed; give a whole number of at least 1"),
        ({"ONLY": "info test"}, "there is no step test; PLAN=1 prints the steps"),
        ({"SKIP": "xxl"}, "there is no step xxl; PLAN=1 prints the steps"),
        ({"PYTHON": "/no/python"}, "PYTHON=/no/python is no command; give a Python that has torch"),
        ({"WHEELS": "/no/wheels"}, "WHEELS=/no/wheels is no folder with wheels in it; docs/gpu.md says how to"),
        ({"OUT": "/dev/null/out"}, "cannot write into OUT=/dev/null/out or WORK="),
    ],
)
def test_a_wrong_variable_is_refused_in_one_line_before_anything_runs(variables, told, tmp_path):
    done = subprocess.run(
        ["bash", str(SCRIPT)],
        env={**os.environ, "DEVICE": "cpu", "OUT": str(tmp_path / "out"), "WORK": str(tmp_path), **variables},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"gpu-check: {told}")


def test_wheels_are_installed_whichever_steps_are_chosen(tmp_path):
    python, wheel = tmp_path / "python", tmp_path / "made-1-py3-none-any.whl"
    python.write_text('#!/bin/sh\necho "ran $*"\n')
    python.chmod(0o755)
    wheel.touch()
    variables = {"PYTHON": str(python), "WHEELS": str(tmp_path), "OUT": str(tmp_path / "out"), "WORK": str(tmp_path)}
    done = subprocess.run(
        ["bash", str(SCRIPT)], env={**os.environ, **variables, "ONLY": "info"}, capture_output=True, text=True
    )
    ran = [line for line in done.stdout.splitlines() if line.startswith("ran ")]
    assert [line.split()[2] for line in ran] == ["pip", "tests.gpu_check.info"]
    assert ran[0].endswith(str(wheel))


ROW = {
    "status": "ok", "reason": "", "src_len": 64, "execution": "eager", "tpot_s": 1e-3, "e2e_s": 0.07, "step_bytes": 1e9,
    "ceiling_copy_gb_per_s": 2000.0, "best_strategy": "static_kv", "best_ratio": 1.0,
}  # fmt: skip
CAPTURED = "static_kv(execution=graph,read=bucket)"
DIRECT = {
    "model": "small", "strategy": CAPTURED, "waits": 0, "harness_ratio": 1.004, "harness_low": 0.999,
    "harness_high": 1.009,
}  # fmt: skip


@pytest.fixture
def runs(tmp_path):
    """``runs(rows by step, direct)``: the summary of such a check."""

    def write(rows, direct=(), steps="info\t0\t3\t60\n"):
        for step, of_step in rows.items():
            (tmp_path / step).mkdir()
            pd.DataFrame([{**ROW, **row} for row in of_step]).to_csv(tmp_path / step / "table.csv", index=False)
        (tmp_path / "steps.tsv").write_text(steps)
        (tmp_path / "figures.jsonl").write_text("".join(json.dumps({**DIRECT, **one}) + "\n" for one in direct))
        return summary.summary(tmp_path, summary.all_rows(tmp_path))

    return write


def test_wanted_figures_that_are_reached_and_missed_are_told_apart(runs):
    """1e9 bytes in 1 ms are half of 2,000 GB/s; 0.6 ms are five sixths."""
    peer = {"strategy": "transformers_static_compiled", "best_strategy": CAPTURED, "best_ratio": 2.9}
    text = runs(
        {
            "large": [{"strategy": CAPTURED}],
            "xl": [{"strategy": CAPTURED, "tpot_s": 6e-4}, {"strategy": "static_kv", "tpot_s": 1e-9}],
            "peers": [peer | {"best_ratio_low": 2.5, "best_ratio_high": 3.4}],
        },
        [{}, {"strategy": "static_kv", "harness_ratio": 1.02, "waits": 2}],
    )
    verdicts = {line[12:].strip(): line[:12].strip() for line in text.splitlines()}
    assert verdicts[
        "large, batch 1, captured: at least 70% of the measured copy bandwidth: 50% at 1.000 ms a step"
    ] == ("NOT REACHED")
    assert (
        verdicts["xl, batch 1, captured: at least 70% of the measured copy bandwidth: 83% at 0.600 ms a step"]
        == "reached"
    )
    (peers,) = (text for text in verdicts if text.startswith("transformers'"))
    assert verdicts[peers] == "NOT REACHED"
    assert "2.90 [2.50, 3.40] times as long" in peers
    (waits,) = (text for text in verdicts if text.startswith("0 waits"))
    assert (verdicts[waits], waits.split(": ", 1)[1]) == ("NOT REACHED", f"small {CAPTURED}: 0, small static_kv: 2")
    harness = {text.split(": ")[0]: verdict for text, verdict in verdicts.items() if text.startswith("measuring")}
    assert list(harness.values()) == ["reached", "NOT REACHED"]


def test_what_was_not_measured_is_not_called_reached(runs):
    failed = {"strategy": CAPTURED, "status": "failed", "reason": "out of memory"}
    text = runs({"large": [failed]}, steps="info\t0\t3\t60\nlarge\t124\t75\t75\nxl\tno time left\t0\t120\n")
    assert text.count("not measured") == 5
    assert "reached" not in text.lower()
    assert "failed steps: large (exit status 124 after 75 s of 75 s)" in text
    assert "no time was left for: xl" in text


def test_growing_and_static_caches_are_compared_in_the_same_execution(runs):
    rows = [
        ("contiguous_kv", "eager", 3e-3),
        ("static_kv", "eager", 2e-3),
        ("static_kv(read=bucket)", "compiled", 1e-3),
    ]
    text = runs({"compiled": [{"strategy": s, "execution": e, "tpot_s": t} for s, e, t in rows]})
    assert "compiled, 64 tokens, eager: 1.50 (3.000 and 2.000 ms a step)" in text
    assert "64 tokens, compiled" not in text


def test_beams_that_have_a_source_of_their_own_are_compared_with_those_that_share_one(runs):
    rows = [
        (CAPTURED, "graph", 1e-3, 1e9),
        ("static_kv(cross_beams=expanded_once,execution=graph,read=bucket)", "graph", 2e-3, 3e9),
        ("static_kv(execution=graph,read=bucket,reorder=table)", "graph", 9e-4, 5e8),
        ("static_kv", "eager", 4e-3, 1e9),
        ("static_kv(cross_beams=expanded)", "eager", 5e-3, 4e9),
        ("contiguous_kv", "eager", 4e-3, 2e9),
    ]
    named = ("strategy", "execution", "tpot_s", "step_bytes")
    text = runs({"beams": [dict(zip(named, row, strict=True)) for row in rows]})
    told = "graph, source of 64 tokens: 2.00 times the time, 3.00 times the bytes (2.000 and 1.000 ms a step)"
    assert f"cross_beams=expanded_once,execution=graph,read=bucket), {told}" in text
    assert "reorder=table), graph, source of 64 tokens: 0.90 times the time, 0.50 times the bytes" in text
    assert "expanded), eager, source of 64 tokens: 1.25 times the time, 4.00 times the bytes" in text
    assert "contiguous_kv, eager, source of 64 tokens: 1.00 times the time, 2.00 times the bytes" in text
    assert text.count("times the bytes") == 4


def test_waits_of_beams_count_among_the_others_and_have_no_share_of_a_round(runs, tmp_path):
    beams = {"strategy": f"{CAPTURED} with 4 beams", "waits": 1}
    runs({})
    figures = DIRECT, {"model": "small", **beams}
    (tmp_path / "figures.jsonl").write_text("".join(json.dumps(one) + "\n" for one in figures))
    text = summary.summary(tmp_path, summary.all_rows(tmp_path))
    (line,) = (line for line in text.splitlines() if "waits for the device" in line)
    assert line.startswith("NOT REACHED")
    assert line.endswith(f"small {CAPTURED}: 0, small {CAPTURED} with 4 beams: 1")
    assert text.count("measuring costs") == 1
