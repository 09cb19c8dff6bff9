"""A trace of ours in a real TensorBoard server with torch-tb-profiler: its routes answer. No network is needed."""

import gzip
import json
import os
import re
import subprocess
import sys
import time
import urllib.request
from urllib.error import HTTPError, URLError
from urllib.parse import urlencode

import pytest

from tests.command import SMALL_MODEL, suites

DEADLINE_S = 120


@pytest.fixture(scope="module")
def logdir(tmp_path_factory):
    """The folder of traces that the command names for ``tensorboard --logdir``."""
    folder = tmp_path_factory.mktemp("tensorboard")
    arguments = ["strategies=[static_kv,'static_kv(read=buffer)']", "seq_len=6", "--steps", "2"]
    done = suites("profile", *arguments, *SMALL_MODEL, folder=folder, check=True)
    return folder / re.search(r"tensorboard --logdir (\S+)", done.stdout)[1]


@pytest.fixture(scope="module")
def server(logdir, tmp_path_factory):
    """The address of a TensorBoard server on loopback, stopped at the end."""
    log = tmp_path_factory.mktemp("server") / "log"
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(logdir), "--host", "127.0.0.1", "--port", "0"]
    with log.open("w") as output:
        process = subprocess.Popen(
            [*command, "--load_fast=false"],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            env={**os.environ, "OMP_NUM_THREADS": "1", "CUDA_VISIBLE_DEVICES": ""},
        )
    try:
        deadline = time.monotonic() + DEADLINE_S
        while not (found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text())):
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.1)
        yield found[0]
    finally:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def plugin(server):
    """``plugin(route, **query)``: the body that the plugin answers with, once it has loaded its runs."""

    def get(route, **query):
        url = f"{server}/data/plugin/pytorch_profiler/{route}?{urlencode(query)}"
        with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
            body = answer.read()
        return json.loads(gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body)

    deadline = time.monotonic() + DEADLINE_S
    while True:
        assert time.monotonic() < deadline, "the plugin loads no runs"
        try:
            answer = get("runs")
        except (HTTPError, URLError):
            answer = {}
        if len(answer.get("runs", [])) == 2 and not answer["loading"]:
            return get
        time.sleep(0.2)


RUNS = ["static_kv", "static_kv-read-buffer"]


def test_each_strategy_is_a_run_with_its_views(plugin):
    assert plugin("runs")["runs"] == RUNS
    for run in RUNS:
        views = plugin("views", run=run)
        assert {"Overview", "Operator", "Trace", "Memory"} <= set(views)
        assert plugin("workers", run=run, view="Operator") == ["decodebench"]


def test_the_operator_view_counts_the_operators_of_the_trace(plugin, logdir):
    query = {"run": RUNS[0], "worker": "decodebench", "view": "Operator", "span": "1", "group_by": "Operation"}
    pie = plugin("operation", **query)
    assert pie["host_self_time"]["rows"]
    rows = plugin("operation/table", **query)["data"]
    calls = {row["name"]: row["calls"] for row in rows}
    (path,) = (logdir / RUNS[0]).iterdir()
    events = json.loads(path.read_text())["traceEvents"]
    for name in ("aten::mm", "aten::index_copy_", "aten::max"):
        assert calls[name] == sum(event.get("name") == name for event in events) > 0


def test_the_trace_view_gets_our_ranges(plugin):
    trace = plugin("trace", run=RUNS[1], worker="decodebench", view="Trace", span="1")
    names = {event.get("name") for event in trace["traceEvents"]}
    assert {"prefill", "encode", "decode_step 5", "decode_step 6", "layer 0", "self_attn", "lm_head"} <= names


def test_the_overview_and_the_memory_view_answer(plugin):
    query = {"run": RUNS[0], "worker": "decodebench", "span": "1"}
    assert plugin("overview", view="Overview", **query)["steps"]["rows"]
    assert plugin("memory", view="Memory", **query)
    assert plugin("memory_curve", view="Memory", **query)["rows"]
