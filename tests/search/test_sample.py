"""Sampling: what is drawn, how often, and by which uniform number."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from scipy.stats import chisquare
from torch import Tensor

from strategies import ModelConfig
from strategies.search.begin import begin
from strategies.search.options import Sample, Stop
from strategies.search.searching import Searching

DRAWS = 20_000
CONFIG = ModelConfig(12, 8, 2, 4, 8, 1, 1)
CPU = torch.device("cpu")


def logits_of(vocab: int, seed: int, spread: float = 1.5) -> Tensor:
    return spread * torch.randn(vocab, generator=torch.Generator().manual_seed(seed))


def sampling(
    sample: Sample,
    batch: int,
    max_new: int = 1,
    stop: Stop = "eos",
    seed: int = 0,
    tolerance: float | None = None,
    config: ModelConfig = CONFIG,
) -> Searching:
    return begin(sample, config, batch, max_new, stop, CPU, seed, tolerance)


def uniforms(batch: int, max_new: int, seed: int) -> Tensor:
    """The numbers that ``sampling`` draws by, [N, B]."""
    return torch.rand(max_new, batch, generator=torch.Generator().manual_seed(seed)).double()


@pytest.mark.parametrize(
    ("sample", "stop"),
    [
        (Sample(), "eos"),
        (Sample(), "fixed"),
        (Sample(temperature=0.6), "eos"),
        (Sample(temperature=1.5, top_k=5), "eos"),
        (Sample(top_p=0.8), "fixed"),
        (Sample(top_k=6, top_p=0.7), "eos"),
    ],
    ids=str,
)
def test_frequencies_are_those_of_the_softmax_that_transformers_cuts(sample: Sample, stop: Stop) -> None:
    from transformers import TemperatureLogitsWarper, TopKLogitsWarper, TopPLogitsWarper

    logits_1V = logits_of(CONFIG.vocab_size, 5)[None]
    warped_1V = logits_1V.clone()
    if stop == "fixed":
        warped_1V[:, CONFIG.eos_id] = -torch.inf
    warped_1V = TemperatureLogitsWarper(float(sample.temperature))(None, warped_1V)
    if sample.top_k:
        warped_1V = TopKLogitsWarper(sample.top_k)(None, warped_1V)
    if sample.top_p < 1:
        warped_1V = TopPLogitsWarper(sample.top_p)(None, warped_1V)
    share_V = warped_1V.softmax(-1)[0].double()
    drawn_B = sampling(sample, DRAWS, stop=stop).choose(logits_1V.repeat(DRAWS, 1)).token_X
    count_V = torch.bincount(drawn_B, minlength=CONFIG.vocab_size)
    assert count_V[share_V == 0].sum() == 0
    possible_V = share_V > 0
    expected_V = share_V[possible_V] / share_V.sum() * DRAWS
    assert chisquare(count_V[possible_V].numpy(), expected_V.numpy()).pvalue > 1e-3


def test_a_wrong_temperature_would_show_in_the_frequencies() -> None:
    logits_V = logits_of(CONFIG.vocab_size, 5)
    drawn_B = sampling(Sample(temperature=1.1), DRAWS).choose(logits_V.repeat(DRAWS, 1)).token_X
    count_V = torch.bincount(drawn_B, minlength=CONFIG.vocab_size)
    expected_V = logits_V.double().softmax(-1) * DRAWS
    assert chisquare(count_V.numpy(), expected_V.numpy()).pvalue < 1e-3


def test_each_row_takes_the_first_id_up_to_which_probabilities_exceed_its_uniform_number() -> None:
    batch, max_new, seed = 40, 3, 7
    searching = sampling(Sample(), batch, max_new, "fixed", seed)
    for uniform_B in uniforms(batch, max_new, seed):
        logits_BV = torch.stack([logits_of(CONFIG.vocab_size, row) for row in range(batch)])
        masked_BV = logits_BV.clone()
        masked_BV[:, CONFIG.eos_id] = -torch.inf
        upto_BV = masked_BV.double().softmax(-1).cumsum(-1)
        assert searching.choose(logits_BV).token_X.tolist() == (upto_BV <= uniform_B[:, None]).sum(1).tolist()


def test_draws_depend_on_seed_row_and_step_alone() -> None:
    logits_BV = torch.zeros(30, CONFIG.vocab_size)

    def draws(max_new: int, seed: int) -> list[list[int]]:
        searching = sampling(Sample(), 30, max_new, "fixed", seed)
        return [searching.choose(logits_BV.clone()).token_X.tolist() for _ in range(max_new)]

    assert draws(4, 1) == draws(4, 1)
    assert draws(4, 1)[:2] == draws(2, 1)
    assert draws(4, 1) != draws(4, 2)
    first, second, *_ = draws(4, 1)
    assert first != second
    assert len(set(first)) > 3


def test_bf16_logits_are_drawn_from_as_their_float32_values() -> None:
    logits_BV = torch.stack([logits_of(CONFIG.vocab_size, row) for row in range(50)]).bfloat16()
    sample = Sample(temperature=0.9, top_k=8, top_p=0.9)
    narrow, wide = (sampling(sample, 50).choose(x).token_X for x in (logits_BV.clone(), logits_BV.float()))
    assert narrow.tolist() == wide.tolist()


def test_a_row_that_has_ended_takes_padding() -> None:
    config = replace(CONFIG, pad_id=3)
    searching = sampling(Sample(), 2, 2, config=config)
    logits_BV = torch.full((2, CONFIG.vocab_size), -50.0)
    logits_BV[0, CONFIG.eos_id] = logits_BV[1, 5] = 50.0
    assert searching.choose(logits_BV.clone()).token_X.tolist() == [CONFIG.eos_id, 5]
    assert not searching.has_ended()
    assert searching.choose(logits_BV[[1, 0]]).token_X.tolist() == [3, CONFIG.eos_id]
    assert searching.has_ended()
    searching.finish()
    found = searching.sequences()
    assert (found.token_RN.tolist(), found.length_R.tolist()) == ([[CONFIG.eos_id, 3], [5, CONFIG.eos_id]], [1, 2])


def test_an_id_of_no_probability_is_not_drawn_by_the_number_0(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch, "rand", lambda *sizes, **kwargs: torch.zeros(*sizes))
    logits_1V = torch.full((1, CONFIG.vocab_size), -torch.inf)
    logits_1V[0, 4:6] = 0.0
    assert sampling(Sample(), 1).choose(logits_1V).token_X.tolist() == [4]


@pytest.mark.parametrize("distance", [1e-7, 1e-3, -1e-7, -1e-3])
def test_a_uniform_number_near_a_boundary_is_a_tie(distance: float) -> None:
    boundary = float(uniforms(1, 1, 0)[0, 0]) + distance
    logits_1V = torch.full((1, CONFIG.vocab_size), -torch.inf)
    logits_1V[0, 4:6] = torch.tensor([boundary, 1 - boundary]).log()
    searching = sampling(Sample(), 1, tolerance=1e-5)
    assert searching.choose(logits_1V).token_X.tolist() == [4 if distance > 0 else 5]
    assert searching.ties() == (abs(distance) < 1e-5)


@pytest.mark.parametrize(("temperature", "ties"), [(0.01, 1), (1.0, 0)])
def test_a_low_temperature_makes_ties_of_larger_distances(temperature: float, ties: int) -> None:
    boundary = float(uniforms(1, 1, 0)[0, 0]) + 1e-4
    logits_1V = torch.full((1, CONFIG.vocab_size), -torch.inf)
    logits_1V[0, 4:6] = torch.tensor([boundary, 1 - boundary]).log() * temperature
    searching = sampling(Sample(temperature), 1, tolerance=1e-5)
    searching.choose(logits_1V)
    assert searching.ties() == ties


@pytest.mark.parametrize("gap", [1e-6, 1e-3])
def test_a_logit_near_the_cut_of_top_k_is_a_tie(gap: float) -> None:
    logits_BV = logits_of(CONFIG.vocab_size, 3).repeat(4, 1)
    order_V = logits_BV[0].argsort(descending=True)
    logits_BV[0, order_V[5]] = logits_BV[0, order_V[4]] - gap
    searching = sampling(Sample(top_k=5), 4, tolerance=1e-5)
    searching.choose(logits_BV)
    assert searching.ties() == (gap < 1e-5)


@pytest.mark.parametrize("distance", [1e-7, 1e-3])
def test_a_sum_near_top_p_is_a_tie(distance: float) -> None:
    logits_BV = logits_of(CONFIG.vocab_size, 3).repeat(4, 1)
    sum_V = logits_BV[0].double().softmax(-1).sort(descending=True).values.cumsum(-1)
    searching = sampling(Sample(top_p=float(sum_V[3]) + distance), 4, tolerance=1e-5)
    searching.choose(logits_BV)
    assert searching.ties() == (4 if distance < 1e-5 else 0)


def test_rows_that_have_ended_have_no_ties() -> None:
    searching = sampling(Sample(top_k=2), 3, 2, tolerance=1e-5)
    logits_BV = torch.zeros(3, CONFIG.vocab_size)
    logits_BV[:2, CONFIG.eos_id] = 90.0
    logits_BV[:, 5] = 80.0
    logits_BV[2, 5:8] = torch.tensor([90.0, 80.0, 70.0])
    assert searching.choose(logits_BV.clone()).token_X.tolist() == [CONFIG.eos_id, CONFIG.eos_id, 5]
    assert searching.ties() == 0
    searching.choose(torch.zeros(3, CONFIG.vocab_size))
    assert searching.ties() == 1
