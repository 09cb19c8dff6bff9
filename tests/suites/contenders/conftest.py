"""A tiny T5 whose rows end at different steps, its cell with padded sources, and the folder that contenders load."""

import dataclasses
import time
from functools import cache

import pytest
import torch

from strategies import ModelSpec, Session, greedy, load_model, parse
from suites.contenders import registry
from suites.contenders.running.cache import shared_checkpoint
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs

SHAPE = {
    "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 2, "decoder_layers": 2,
    "gated": True, "tie_head": False, "scale_head": False, "relative_buckets": 8, "relative_max_distance": 6,
}  # fmt: skip
SRC_IDS = ((3, 4, 5, 6, 7, 8, 9), (10, 11, 12))
STEPS = 12


def cell_of(stop, seed=None, **shape):
    if seed is None:
        seed, shape["eos_id"] = seed_and_end()
    spec = ModelSpec("sliver", "random", shape=tuple(sorted((SHAPE | shape).items())))
    return Cell(spec, 7, STEPS, 2, "cpu", "fp32", 1, seed, stop, SRC_IDS)


@cache
def seed_and_end():
    """Weights with which the first row chooses an id in its middle, and the second later or never: that as EOS."""
    for seed in range(100):
        first, second = decode(cell_of("fixed", seed)).tolist()
        for place in range(3, STEPS - 2):
            end = first[place]
            if end > 2 and end not in first[:place] and end not in second[: place + 1]:
                return seed, end
    raise AssertionError("no seed gives such rows")


def decode(cell):
    """Our oracle's tokens, int64 [B, N]."""
    model = load_model(cell.model, seed=cell.seed)
    inputs = make_inputs(cell, model.config)
    session = Session(model, parse("full_recompute"), cell.batch_size, cell.src_len, cell.tgt_len)
    session.prefill(inputs.source, inputs.src_mask_BS)
    return torch.stack(list(greedy(session, cell.stop)), 1)


@pytest.fixture(scope="session", params=["fixed", "eos"])
def cell(request):
    return cell_of(request.param)


@pytest.fixture(scope="session")
def fixed_cell():
    return cell_of("fixed")


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory):
    """Of both cells."""
    cell = cell_of("fixed")
    model = load_model(cell.model, seed=cell.seed)
    return shared_checkpoint(model, tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module")
def prepared(checkpoint):
    """``prepared(name, cell)``: a contender in this process, prepared once for each cell."""
    known = {}

    def prepare(name, cell):
        if (name, cell) not in known:
            known[name, cell] = registry()[name]()
            known[name, cell].prepare(checkpoint, cell)
        return known[name, cell]

    return prepare


@pytest.fixture
def request_of(checkpoint):
    """A ``prepare`` request for a cell."""
    return lambda cell: {
        "do": "prepare", "checkpoint": str(checkpoint), "cell": dataclasses.asdict(cell), "source": {"ids": SRC_IDS}
    }  # fmt: skip


class Events:
    """Stands in for CUDA's clock on a machine without a device: it records like it, and keeps what it recorded."""

    def __init__(self, every_step):
        self.every_step = every_step
        self.recorded_s = []

    def start(self):
        self.recorded_s = []
        self.mark()

    def mark(self):
        self.recorded_s.append(time.perf_counter())

    def step(self):
        if self.every_step:
            self.mark()

    def marks_s(self):
        return [mark - self.recorded_s[0] for mark in self.recorded_s]
