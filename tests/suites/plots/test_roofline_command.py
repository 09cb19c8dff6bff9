"""``python -m suites roofline``: what it measures, says and writes."""

import json

import numpy as np
import pytest
import torch

from suites.__main__ import main
from suites.verbs.roofline_report import WHAT, Roofline

from ...command import suites


def test_the_verb_measures_prints_and_writes(tmp_path):
    done = suites("roofline", "threads=1", "device=cpu", "--rounds", "2", "hydra.run.dir=out", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    found = json.loads((tmp_path / "out" / "roofline.json").read_text())
    assert (found["device"], found["threads"]) == ("cpu", 1)
    assert {kernel["name"] for kernel in found["kernels"]} == set(WHAT)
    for kernel in found["kernels"]:
        assert len(kernel["rates"]) == 2
        assert min(kernel["rates"]) > 0
        assert kernel["unit"] == ("FLOP/s" if "gemm" in kernel["name"] else "B/s")
        (line,) = (line for line in done.stdout.splitlines() if line.startswith(WHAT[kernel["name"]]))
        assert f"{np.median(kernel['rates']) * 1e-9:.3g} {'GFLOP/s' if 'gemm' in kernel['name'] else 'GB/s'}" in line
    assert "read bandwidth: " in done.stdout
    for name in ("roofline.png", "roofline.svg"):
        assert (tmp_path / "out" / "plots" / name).stat().st_size > 1000


@pytest.mark.parametrize(
    ("cache_bytes", "said"),
    [
        (None, "does not tell how large the last cache is"),
        (32 << 20, "64.0 MiB were read in turn, beyond the last cache of 32.0 MiB"),
        (256 << 20, "cache-resident, as the last cache has 256 MiB"),
    ],
)
def test_it_says_whether_memory_was_read_or_the_last_cache(cache_bytes, said):
    assert said in Roofline("cpu", 1, cache_bytes, 64 << 20, []).cache


MISTAKES = [
    (["seq_len=8"], "roofline: seq_len=8 has no effect; give only threads, device, hydra.run.dir"),
    (["strategies=core"], "roofline: strategies=core has no effect"),
    (["+sweep=seq_len"], "has no effect"),
    (["thread=1"], "unknown key 'thread' in 'thread=1'; did you mean 'threads'?"),
    (["threads=0"], "threads=0 is not allowed; give a whole number of at least 1"),
    (["threads=1,2"], "roofline measures one cell, not 2; give each key one value"),
    (["device=gpu"], "device=gpu is not allowed; give one of auto, cpu, cuda"),
    (["--rounds", "0"], "roofline: argument --rounds: 0 is not allowed; give a whole number of at least 1"),
    (["--fast"], "roofline: unrecognized arguments: --fast; see roofline --help"),
    (["hydra.run.dir=/dev/null", "--rounds", "1"], "cannot make the run folder"),
]


@pytest.mark.parametrize(("arguments", "said"), MISTAKES, ids=[" ".join(a) for a, _ in MISTAKES])
def test_a_mistake_is_one_line_and_exit_1(arguments, said, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert main(["roofline", *arguments]) == 1
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("decodebench: ")
    assert captured.err.count("\n") == 1
    assert said in captured.err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device here")
def test_a_device_that_is_not_there_is_one_line(capsys):
    assert main(["roofline", "device=cuda"]) == 1
    assert capsys.readouterr().err == "decodebench: device=cuda: no CUDA device here; give device=cpu\n"


def test_the_folder_of_a_measured_run_is_left_alone(tmp_path, capsys):
    (tmp_path / "run.json").write_text("{}")
    assert main(["roofline", f"hydra.run.dir={tmp_path}", "--rounds", "1"]) == 1
    assert "holds a run that was measured; choose another folder" in capsys.readouterr().err


def test_help_says_what_it_does(capsys):
    assert main(["roofline", "--help"]) == 0
    assert "python -m suites roofline" in capsys.readouterr().out
