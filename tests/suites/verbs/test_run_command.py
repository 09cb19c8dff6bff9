"""``run`` as a user types it: a tiny sweep in a subprocess, then what it left behind."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest
import torch

from tests.command import ROOT, SMALL_MODEL, suites

LENGTHS = (4, 8)
CORE = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv"]


@pytest.fixture(scope="module")
def sweep(tmp_path_factory):
    """(the finished command, its folder): two lengths, four strategies, three rounds."""
    folder = tmp_path_factory.mktemp("sweep")
    lengths = ",".join(map(str, LENGTHS))
    return suites(
        "run", "+sweep=seq_len", f"seq_len={lengths}", *SMALL_MODEL, "measure=quick", "plots=true", folder=folder
    ), folder


@pytest.fixture
def latest(sweep):
    done, folder = sweep
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "results" / "latest"


def raw_rounds(folder):
    """The lines of a cell's rounds.jsonl that are rounds of arms, in order."""
    lines = [json.loads(line) for line in (folder / "rounds.jsonl").read_text().splitlines()]
    return [line for line in lines if line.get("kind") != "calibration"]


def test_every_strategy_is_measured_at_every_length(latest):
    table = pd.read_csv(latest / "table.csv")
    assert [tuple(row) for row in table[["tgt_len", "strategy"]].values.tolist()] == [
        (length, strategy) for length in LENGTHS for strategy in CORE
    ]
    assert (table["status"] == "ok").all()
    assert (table["rounds"] == 3).all()
    assert (table["src_len"] == table["tgt_len"]).all()
    times = ["prefill_s", "ttft_s", "itl_s", "tpot_s", "e2e_s", "setup_s", "throughput_tokens_per_s"]
    assert (table[times] > 0).all().all()
    assert (table["ttft_s"] >= table["prefill_s"]).all()


def test_steps_are_told_one_by_one(latest):
    steps = pd.read_csv(latest / "steps.csv")
    assert len(steps) == len(CORE) * sum(LENGTHS)
    counts = steps.groupby(["tgt_len", "strategy"])["k"].agg(list)
    assert all(counts[length, strategy] == [*range(1, length + 1)] for length in LENGTHS for strategy in CORE)
    assert (steps["latency_s"] > 0).all()


def test_raw_rounds_cover_every_mark_and_mark_the_warm_up(latest):
    for folder in (latest / "cells").iterdir():
        cell = json.loads((folder / "cell.json").read_text())
        rounds = raw_rounds(folder)
        assert len(rounds) == len(CORE) * (3 + 1)
        assert sum(r["warmup"] for r in rounds) == len(CORE)
        assert {len(r["marks_s"]) for r in rounds} == {cell["tgt_len"] + 2}
        assert all(r["marks_s"] == sorted(r["marks_s"]) for r in rounds)
        assert (folder / "config.yaml").exists()


def test_rounds_are_interleaved_in_an_order_that_changes(latest):
    orders = set()
    for folder in (latest / "cells").iterdir():
        lines = raw_rounds(folder)
        for start in range(0, len(lines), len(CORE)):
            together = [r["strategy"] for r in lines[start : start + len(CORE)]]
            assert sorted(together) == sorted(CORE)
            orders.add(tuple(together))
    assert len(orders) > 1


def test_the_run_folder_says_how_it_was_made(latest):
    run = json.loads((latest / "run.json").read_text())
    assert run["command"].startswith("python -m suites run +sweep=seq_len seq_len=4,8")
    for cell, length in zip(run["plan"], LENGTHS, strict=True):
        assert f"seq_len={length}" in cell["overrides"]
    assert run["plan"][0]["predicted_work"] < run["plan"][1]["predicted_work"]
    machine = json.loads((latest / "environment.json").read_text())
    assert machine["cpu"]
    assert machine["versions"]["torch"] == torch.__version__
    assert "seq_len: 4" in (latest / "config.yaml").read_text()


def test_plots_are_written_and_drawn_again_the_same(latest, sweep):
    before = {path.name: path.read_bytes() for path in (latest / "plots").iterdir()}
    drawn = {"totals", "step_latency", "flops", "memory", "roles", "roofline", "tradeoff", "rounds"}
    assert {Path(name).stem for name in before} == drawn
    assert {Path(name).suffix for name in before} == {".png", ".svg"}
    assert all(content.startswith(b"\x89PNG") for name, content in before.items() if name.endswith("png"))
    (latest / "plots" / "totals.png").unlink()
    done = suites("plot", "results/latest", folder=sweep[1], check=True)
    assert len(done.stdout.splitlines()) == len(drawn)
    assert {path.name: path.read_bytes() for path in (latest / "plots").iterdir()} == before


def test_the_tables_can_be_made_again_from_the_raw_rounds(latest, sweep):
    paths = [latest / f"{name}.csv" for name in ("table", "roles")]
    before = [path.read_bytes() for path in paths]
    for path in paths:
        path.unlink()
    suites("plot", "--retable", folder=sweep[1], check=True)
    assert [path.read_bytes() for path in paths] == before


def test_the_closing_table_ranks_and_names_the_folder(sweep):
    done, folder = sweep
    assert "batch 1, 4 -> 4" in done.stdout
    assert re.search(r"^full_recompute .* 1x ", done.stdout, re.MULTILINE)
    assert re.search(r"static_kv .*x \[[\d.]+, [\d.]+\]", done.stdout)
    named = re.search(r"in (results/\S+)$", done.stdout, re.MULTILINE)
    assert named is not None
    assert (folder / named[1]).resolve() == (folder / "results" / "latest").resolve()
    assert "\x1b" not in done.stdout + done.stderr


def test_a_case_that_fails_is_a_row_with_its_reason_and_exit_1_and_the_rest_goes_on(tmp_path):
    chosen = "strategies=[full_recompute,'static_kv(capacity=4)']"
    done = suites(
        "run", "seq_len=4,6", chosen, *SMALL_MODEL, "measure=quick", "hydra.sweep.dir=a folder", folder=tmp_path
    )
    assert done.returncode == 1
    table = pd.read_csv(tmp_path / "a folder" / "table.csv").set_index(["tgt_len", "strategy"])
    assert table.loc[(4, "static_kv(capacity=4)"), "status"] == "ok"
    assert table.loc[(6, "static_kv(capacity=4)"), "status"] == "failed"
    assert "capacity=4 cannot hold a target of 6 tokens" in table.loc[(6, "static_kv(capacity=4)"), "reason"]
    assert table.loc[(6, "full_recompute"), "status"] == "ok"
    assert "capacity=4 cannot hold" in done.stdout
    assert "Traceback" not in done.stderr


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without CUDA")
def test_a_device_that_is_not_there_is_skipped_beside_one_that_is(tmp_path):
    done = suites("run", "seq_len=4", "device=cpu,cuda", *SMALL_MODEL, "measure=quick", folder=tmp_path)
    assert done.returncode == 0, done.stderr
    table = pd.read_csv(tmp_path / "results" / "latest" / "table.csv")
    status = table.groupby("device")["status"].agg(set).to_dict()
    assert status == {"cpu": {"ok"}, "cuda": {"skipped"}}
    assert "no CUDA device here" in " ".join(done.stdout.split())


def test_eos_mode_stops_each_row_at_its_end_on_the_embedded_model(tmp_path):
    done = suites(
        "run", "src_len=12", "tgt_len=40", "batch_size=3", "measure=quick", "measure.stop=eos", folder=tmp_path
    )
    assert done.returncode == 0, done.stderr
    cell = next((tmp_path / "results" / "latest" / "cells").iterdir())
    arms = json.loads((cell / "arms.json").read_text())
    assert {arm["steps"] for arm in arms} == {arms[0]["steps"]}
    assert arms[0]["steps"] < 40
    assert max(arms[0]["row_lens"]) == arms[0]["steps"]
    assert len(arms[0]["row_lens"]) == 3
    assert all(arm["tokens_equal"] for arm in arms)


def test_help_and_version_load_neither_torch_nor_hydra():
    for arguments in (["--help"], ["--version"], ["run", "--help"]):
        code = (
            "import sys\nfrom suites.__main__ import main\n"
            f"assert main({arguments}) == 0\n"
            "assert not {'torch', 'hydra', 'pandas', 'matplotlib'} & set(sys.modules), sorted(sys.modules)"
        )
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
