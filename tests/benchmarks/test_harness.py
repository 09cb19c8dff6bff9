"""What measuring costs: ``one_round`` beside a bare loop over the same Session, interleaved, in one process.

``make bench-harness`` prints the paired ratio with its interval; otherwise each runs once, untimed.
"""

import time

import pytest
import torch

from strategies import ModelSpec, Session, load_model, parse
from suites.judging.ratios import paired_ratio
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock
from suites.timing.one_round import one_round, token_ids

CELL = Cell(ModelSpec("pronounce", "pronounce"), 64, 64, 1, "cpu", "fp32", 1, 0, "fixed")
ROUNDS = 60


@pytest.fixture(scope="module")
def decoder():
    """(session, inputs) of the cell above; small, so that the harness weighs as much as it ever does."""
    torch.set_num_threads(CELL.threads)
    model = load_model(CELL.model)
    session = Session(model, parse("static_kv"), CELL.batch_size, CELL.src_len, CELL.tgt_len)
    return session, make_inputs(CELL, model.config)


def bare_loop(session: Session, inputs) -> list[torch.Tensor]:
    """The least that decodes a batch greedily at a fixed length: no marks, no generator."""
    session.prefill(inputs.source, inputs.src_mask_BS)
    config = session.model.config
    token_B = torch.full((session.batch,), config.start_id)
    floor = torch.finfo(torch.float32).min
    tokens = []
    for _ in range(session.max_new):
        logits_BV = session.step(token_B)
        logits_BV[:, config.eos_id] = floor
        token_B = logits_BV.argmax(-1)
        tokens.append(token_B)
    return tokens


def test_one_round_gives_the_tokens_of_a_bare_loop(decoder):
    session, inputs = decoder
    measured = token_ids(one_round(session, inputs, "fixed", CpuClock()))
    assert torch.equal(measured, token_ids(bare_loop(session, inputs)))


@pytest.mark.benchmark(group="harness")
def test_a_measured_round_beside_a_bare_loop(benchmark, decoder, capsys):
    session, inputs = decoder
    bare_s: list[float] = []

    def bare_first() -> None:
        start = time.perf_counter()
        bare_loop(session, inputs)
        bare_s.append(time.perf_counter() - start)

    rounds = ROUNDS if not benchmark.disabled else 1
    benchmark.pedantic(
        one_round,
        args=(session, inputs, "fixed", CpuClock()),
        setup=bare_first,
        rounds=rounds,
        warmup_rounds=3 if rounds > 1 else 0,
    )
    if benchmark.stats is None:
        return
    measured_s = benchmark.stats.stats.data
    ratio = paired_ratio(measured_s, bare_s[-len(measured_s) :])
    benchmark.extra_info.update(ratio=ratio.value, low=ratio.low, high=ratio.high)
    with capsys.disabled():
        print(
            f"\none_round / bare loop: {ratio.value:.4f} [{ratio.low:.4f}, {ratio.high:.4f}] over {ratio.rounds} pairs"
        )
