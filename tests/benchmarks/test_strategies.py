"""Every strategy's round, as ``run`` times it. ``make bench`` times them; otherwise each runs once, untimed.

Times are judged only as ratios to the baseline's, whose rounds are taken beside those of each strategy: all together
once the last is timed, as ``pace`` says.
"""

import dataclasses
import gc
import random
import time

import pytest
import torch

from strategies import ModelSpec, Session, load_model, parse, select
from suites.judging.ratios import paired_ratio
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock
from suites.timing.one_round import one_round

CELL = Cell(ModelSpec("pronounce", "pronounce"), 64, 64, 1, "cpu", "fp32", 1, 0, "fixed")
BASELINE = "full_recompute"
STRATEGIES = [*(strategy.label for strategy in select("core")), "static_kv(read=buffer)"]
ROUNDS = 10


@pytest.fixture(scope="module")
def sessions():
    """(session of a label, inputs) in the cell above."""
    torch.set_num_threads(CELL.threads)
    model = load_model(CELL.model)

    def session(label: str) -> Session:
        return Session(model, parse(label), CELL.batch_size, CELL.src_len, CELL.tgt_len)

    return session, make_inputs(CELL, model.config)


@pytest.mark.benchmark(group="round of 64 tokens")
@pytest.mark.parametrize("label", STRATEGIES)
def test_a_round(label, benchmark, sessions, ratios):
    make_session, inputs = sessions
    session, baseline = make_session(label), make_session(BASELINE)
    baseline_s: list[float] = []
    order = random.Random(CELL.seed)
    before = []

    def time_baseline() -> None:
        gc.collect()
        start = time.perf_counter()
        one_round(baseline, inputs, CELL.stop, CpuClock())
        baseline_s.append(time.perf_counter() - start)

    paired = benchmark.enabled and label != BASELINE

    def setup() -> None:
        before.append(order.random() < 0.5)
        if paired and before[-1]:
            time_baseline()
        gc.collect()

    def teardown(*args) -> None:
        if paired and not before[-1]:
            time_baseline()

    benchmark.extra_info.update(strategy=label, cell=dataclasses.asdict(CELL))
    benchmark.pedantic(
        one_round,
        args=(session, inputs, CELL.stop, CpuClock()),
        setup=setup,
        teardown=teardown,
        rounds=ROUNDS,
        warmup_rounds=1,
    )
    if not paired:
        return
    ratio = ratios[label] = paired_ratio(benchmark.stats.stats.data, baseline_s[-ROUNDS:])
    benchmark.extra_info.update(ratio=ratio.value, low=ratio.low, high=ratio.high)
