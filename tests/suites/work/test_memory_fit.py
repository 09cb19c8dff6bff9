"""What has no room in memory is a row with the reason, or one line, before anything of that size is made."""

import dataclasses
import json
import sys

import pytest

from strategies import ModelSpec, config_of, select
from suites.contenders.running.lineup import Contenders
from suites.machine.limits import Limit
from suites.measuring.runner import run_cell
from suites.settings.cells import Cell
from suites.settings.config import ConfigError, MeasureConfig
from suites.words.progress import Progress
from suites.work import capacity, memory_fit
from suites.work.capacity import predicted_peak_bytes
from suites.work.memory_fit import require_room_to_train, weight_bytes, why_not_built
from suites.work.planning import effort

SHAPE = {
    "vocab_size": 61, "d_model": 16, "num_heads": 2, "d_kv": 16, "d_ff": 32, "encoder_layers": 1, "decoder_layers": 1
}  # fmt: skip
GIB = 1 << 30


def spec(**changes):
    return ModelSpec("m", "random", shape=tuple(sorted({**SHAPE, **changes}.items())))


CELL = Cell(spec(), 6, 6, 2, "cpu", "fp32", 1, 0, "fixed")
PRONOUNCE = dataclasses.replace(CELL, model=ModelSpec("pronounce", "pronounce"))


@pytest.fixture
def room_of(monkeypatch):
    """``room_of(bytes)``: a machine of so much memory."""

    def set_memory(amount):
        for module in (capacity, memory_fit):
            monkeypatch.setattr(module, "memory_limit", lambda: Limit(amount, "a test"))

    return set_memory


@pytest.fixture
def little_memory():
    """The system gives this process no more than half a GiB beyond what it holds."""
    resource = pytest.importorskip("resource")
    if not sys.platform.startswith("linux"):
        pytest.skip("needs Linux's limit of a process's data")
    before = resource.getrlimit(resource.RLIMIT_DATA)
    with open("/proc/self/status") as status:  # noqa: PTH123 - a file of the kernel, read line by line
        held = next(int(line.split()[1]) << 10 for line in status if line.startswith("VmData"))
    resource.setrlimit(resource.RLIMIT_DATA, (held + GIB // 2, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_DATA, before)


def measure(cell, folder, names="core", **changes):
    with Progress(1, 1) as progress:
        results = run_cell(
            cell, select(names), MeasureConfig(rounds=2, warmup=0, **changes), folder, progress, Contenders()
        )
    return {result.strategy: (result.status, result.reason) for result in results}


TOO_LARGE = {
    "a wide model": (
        dataclasses.replace(CELL, model=spec(d_ff=50_000_000)),
        "its weights need 11.9 GiB while they are made",
    ),
    "its copies": (
        dataclasses.replace(CELL, model=spec(d_ff=8_000_000), linear="mkl"),
        "its weights need 3.81 GiB while they are made",
    ),
    "a long source": (dataclasses.replace(CELL, src_len=10**9), "no batch fits"),
    "a long target": (dataclasses.replace(CELL, tgt_len=10**9), "no batch fits"),
    "both": (dataclasses.replace(CELL, src_len=10**5, tgt_len=10**5), "no batch fits"),
    "phrases": (dataclasses.replace(PRONOUNCE, src_len=10**9), "no batch fits"),
    "a batch": (dataclasses.replace(CELL, batch_size=10**8), "at these lengths batch_size="),
}


@pytest.mark.parametrize("name", TOO_LARGE)
def test_a_cell_that_does_not_fit_is_rows_with_the_reason_and_allocates_nothing(name, little_memory, room_of, tmp_path):
    cell, told = TOO_LARGE[name]
    room_of(2 * GIB)
    assert effort(cell, select("core"), MeasureConfig()).flops > 0
    for status, reason in measure(cell, tmp_path).values():
        assert status == "failed"
        assert told in reason
        assert "(a test)" in reason
    written = json.loads((tmp_path / "cells" / cell.id / "cell.json").read_text())
    assert (written["memory_bytes"], written["memory_bound_by"]) == (2 * GIB, "a test")


def test_more_memory_than_the_machine_has_is_forecast_for_and_not_used(room_of, tmp_path):
    room_of(10_000)
    for status, reason in measure(CELL, tmp_path, memory_gib=1000.0).values():
        assert status == "failed"
        assert "there are 9.77 KiB (a test)" in reason


def test_narrower_weights_and_another_type_need_room_for_whole_ones_while_they_are_made(room_of):
    config = config_of(CELL.model)
    parameters = weight_bytes(config, CELL) // 4
    int8 = dataclasses.replace(CELL, weights="int8")
    both = 4 * parameters + weight_bytes(config, int8)
    for cell, needed in ((dataclasses.replace(CELL, dtype="bf16"), 4 * parameters), (int8, both)):
        room_of(needed)
        assert why_not_built(config, cell) == ""
        room_of(needed - 1)
        assert why_not_built(config, cell).startswith("its weights need ")


def test_full_recompute_without_room_judges_nobody(room_of, tmp_path):
    cell = dataclasses.replace(CELL, tgt_len=200)
    config = config_of(cell.model)
    full, cached = (predicted_peak_bytes(config, cell, s, False) for s in select(["full_recompute", "contiguous_kv"]))
    assert cached < full
    room_of(weight_bytes(config, cell) + (cached + full) // 2)
    found = measure(cell, tmp_path, ["full_recompute", "contiguous_kv"])
    assert found["full_recompute"][1].startswith("needs ")
    status, remark = found["contiguous_kv"]
    assert status == "ok"
    assert remark.startswith("compared with nothing, as full_recompute needs ")
    written = json.loads((tmp_path / "cells" / cell.id / "cell.json").read_text())
    assert list(written["formulas"]) == ["contiguous_kv"]
    assert list(written["capacity"]) == ["full_recompute", "contiguous_kv"]


def test_the_pass_of_training_counts_logits_of_every_row(room_of):
    cell = dataclasses.replace(CELL, tgt_len=1000)
    room_of(weight_bytes(config_of(cell.model), cell) + cell.batch_size * cell.tgt_len * 61 * 4)
    with pytest.raises(ConfigError, match=r"^shapes: the pass over all target rows at once needs .*; give less$"):
        require_room_to_train("shapes", config_of(cell.model), cell, "give less")
