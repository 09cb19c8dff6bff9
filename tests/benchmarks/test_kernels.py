"""``linear=auto`` beside torch's kernel, a round of each in pairs. ``make bench`` times them; else they must agree."""

import pytest
import torch

from strategies import Session, load_model, parse
from strategies.models.kernels.linears import use_linear
from suites.guarding.pairs import time_ratio
from suites.judging.verdict import verdict
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock
from suites.timing.one_round import one_round, token_ids

from .test_strategies import CELL, ROUNDS


@pytest.mark.benchmark(group="a round of 64 tokens by linear=auto and linear=torch")
@pytest.mark.parametrize("label", ["static_kv", "full_recompute"])
def test_what_is_chosen_is_not_slower_than_torchs_kernel(label, benchmark):
    torch.set_num_threads(CELL.threads)
    rounds = {}
    for kind in ("torch", "auto"):
        model = load_model(CELL.model)
        use_linear(model, kind, CELL.batch_size, CELL.rows_max(model.config))
        session = Session(model, parse(label), CELL.batch_size, CELL.src_len, CELL.tgt_len)
        inputs = make_inputs(CELL, model.config)
        rounds[kind] = lambda session=session, inputs=inputs: one_round(session, inputs, CELL.stop, CpuClock())
    assert torch.equal(*(token_ids(run()) for run in rounds.values()))
    ratio = benchmark.pedantic(
        time_ratio,
        args=(rounds["auto"], rounds["torch"]),
        kwargs={"pairs": ROUNDS if benchmark.enabled else 2},
        rounds=1,
    )
    if benchmark.enabled:
        benchmark.extra_info.update(strategy=label, ratio=ratio.value, low=ratio.low, high=ratio.high)
        assert verdict(ratio, margin=0.05) != "slower", ratio
