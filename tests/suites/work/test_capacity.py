"""What fits in memory: by the formula, in a run, and in a process that the system holds to the limit."""

import json
import os
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from strategies import ModelSpec, config_of, parse
from suites.machine.limits import Limit
from suites.settings.cells import Cell
from suites.work.capacity import capacity, device_memory, most, predicted_peak_bytes, why_too_large

from ...command import SMALL_MODEL, suites

MIB = 1 << 20
SHAPE = (
    ("architecture", "t5"), ("d_ff", 512), ("d_kv", 32), ("d_model", 128), ("decoder_layers", 4), ("encoder_layers", 1),
    ("num_heads", 4), ("vocab_size", 500),
)  # fmt: skip
CELL = Cell(ModelSpec("m", "random", shape=SHAPE), 64, 64, 1, "cpu", "fp32", 1, 0, "fixed")
CONFIG = config_of(CELL.model)
NAMES = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv", "static_kv(capacity=100)"]


def needed(name, **sizes):
    return predicted_peak_bytes(CONFIG, replace(CELL, **sizes), parse(name), False)


@pytest.mark.parametrize("name", NAMES)
def test_the_largest_batch_and_length_fit_and_the_next_do_not(name):
    found = capacity(CONFIG, CELL, parse(name), False, 3 * MIB, 200 * MIB)
    room = 197 * MIB
    assert needed(name, batch_size=found.batch_max) <= room < needed(name, batch_size=found.batch_max + 1)
    longest, next_up = ({"src_len": n, "tgt_len": n} for n in (found.length_max, found.length_max + 1))
    assert needed(name, **longest) <= room
    if "capacity" in name:
        assert found.length_max == 100
    else:
        assert needed(name, **next_up) > room


@pytest.fixture
def gpu_memory(monkeypatch):
    """``gpu_memory(free, reserved)``: what the device has free, and what torch's allocator holds for this process."""

    def set_memory(free, reserved):
        monkeypatch.setattr(torch.cuda, "mem_get_info", lambda: (free, 80 << 30))
        monkeypatch.setattr(torch.cuda, "memory_reserved", lambda: reserved)

    return set_memory


def test_on_a_gpu_what_is_free_and_what_torch_holds_already_may_be_used_and_others_memory_may_not(gpu_memory):
    gpu_memory(70 << 30, 0)
    before = device_memory("cuda")
    gpu_memory(67 << 30, 3 << 30)  # the same after weights of 3 GiB are loaded
    assert device_memory("cuda") == before == Limit(70 << 30, "the GPU's memory that is free")


@pytest.mark.parametrize("loaded", [False, True])
def test_a_case_on_a_gpu_is_refused_from_the_first_byte_that_is_missing(gpu_memory, loaded):
    cell, weights = replace(CELL, device="cuda"), 3 * MIB
    total = weights + needed("static_kv")
    plenty = Limit(80 << 30, "measure.memory_gib=80")
    for missing in (0, 1):
        free = total - missing
        gpu_memory(*((free - weights, weights) if loaded else (free, 0)))
        why = why_too_large(CONFIG, cell, parse("static_kv"), False, weights, plenty)
        assert bool(why) == bool(missing)
    assert "(the GPU's memory that is free)" in why


def test_nothing_fits_where_one_does_not():
    assert most(lambda n: n + 10, 10) == 0
    assert most(lambda n: n + 9, 10) == 1


DECODE = """
import resource, sys
import torch
from strategies import Session, greedy, load_model, parse
from tests.suites.work.test_capacity import CELL

def decode(batch, strategy):
    session = Session(model, strategy, batch, CELL.src_len, CELL.tgt_len)
    session.prefill(torch.full((batch, CELL.src_len), 2))
    return sum(1 for _ in greedy(session, "fixed"))

torch.set_num_threads(1)
limit, *batches = map(int, sys.argv[2:])
model, strategy = load_model(CELL.model), parse(sys.argv[1])
decode(max(batches), strategy)  # libraries allocate what they keep, on some processors more for more rows
held = next(int(line.split()[1]) << 10 for line in open("/proc/self/status") if line.startswith("VmData"))
resource.setrlimit(resource.RLIMIT_DATA, (held + limit, held + limit))
for batch in batches:
    try:
        print(decode(batch, strategy))
    except (RuntimeError, MemoryError) as error:
        print("allocate" in str(error) or "memory" in str(error))
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="needs Linux's limit of a process's data")
@pytest.mark.parametrize("name", ["full_recompute", "contiguous_kv", "static_kv"])
def test_a_process_that_is_held_to_the_limit_decodes_what_fits_and_fails_at_what_does_not(name):
    limit = 24 * MIB
    largest = most(lambda n: needed(name, batch_size=n), limit)
    # Small blocks are given back at once, so that what is free is free.
    environment = os.environ | {"MALLOC_MMAP_THRESHOLD_": "16384", "MALLOC_ARENA_MAX": "1"}
    batches = largest * 9 // 10, largest * 12 // 10
    command = [sys.executable, "-c", DECODE, name, str(limit), *map(str, batches)]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert done.stdout.split() == ["64", "True"]


def test_a_run_that_is_given_a_limit_fails_what_is_above_it_at_once_and_measures_the_rest(tmp_path):
    sizes = [
        *SMALL_MODEL,
        "src_len=4",
        "tgt_len=16",
        "batch_size=64",
        "strategies=[cross_kv,static_kv]",
        "threads=1",
        "measure=quick",
    ]
    suites("run", *sizes, "hydra.run.dir=a", folder=tmp_path, check=True)
    (cell,) = (json.loads(path.read_text()) for path in tmp_path.glob("a/cells/*/cell.json"))
    assert "what fits in" in (tmp_path / "a" / "advice.txt").read_text()
    needs = {label: cell["weight_bytes"] + found["peak_bytes"] for label, found in cell["capacity"].items()}
    assert needs["static_kv"] < needs["cross_kv"]
    between = sum(needs.values()) / 2
    again = suites("run", *sizes, f"measure.memory_gib={between / (1 << 30):.9f}", "hydra.run.dir=b", folder=tmp_path)
    assert again.returncode == 1
    told = " ".join(again.stdout.split())  # lines are wrapped
    assert told.count("failed: ") == 1
    assert "failed: cross_kv in 1 cell: needs " in told
    assert "at these lengths batch_size=" in told
    (arms,) = (json.loads(path.read_text()) for path in tmp_path.glob("b/cells/*/arms.json"))
    assert [(arm["strategy"], arm["status"]) for arm in arms] == [("cross_kv", "failed"), ("static_kv", "ok")]
    assert "\nadvice: " in (tmp_path / "b" / "advice.txt").read_text()


def test_a_limit_of_nothing_is_refused(tmp_path):
    done = suites("run", "measure.memory_gib=0", folder=tmp_path)
    assert (done.returncode != 0, done.stderr.count("\n")) == (True, 1)
    assert "measure.memory_gib=0 is not allowed; give GiB above 0 and at most 1048576, or null" in done.stderr
