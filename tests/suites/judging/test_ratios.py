"""Paired ratios against intervals worked out by hand, against scipy, and against their own promise of coverage."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from suites.judging import ratios
from suites.judging.ratios import CONFIDENCE, paired_ratio

REPEATABLE = settings(derandomize=True, deadline=None, max_examples=50)
SECONDS = st.floats(1e-6, 1e3)
PAIRS = st.lists(st.tuples(SECONDS, SECONDS), min_size=2, max_size=19)


def noisy(rounds: int, effect: float = 0.3, noise: float = 0.05, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Times of two arms whose log ratio is normal about ``effect``; what both share in a round is much larger."""
    rng = np.random.default_rng(seed)
    baseline = np.exp(rng.normal(0, 1, rounds))
    return baseline * np.exp(rng.normal(effect, noise, rounds)), baseline


def test_three_rounds_give_the_t_interval_worked_out_by_hand():
    # Log ratios 1, 2, 3 (mean 2, standard deviation 1); t at 97.5 % with 2 degrees of freedom is 4.302653.
    ratio = paired_ratio([math.e, math.e**2, math.e**3], [1.0, 1.0, 1.0])
    half = 4.302653 / math.sqrt(3)
    assert ratio.value == pytest.approx(math.e**2)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(2 - half), math.exp(2 + half)), rel=1e-6)
    assert ratio.rounds == 3


@pytest.mark.parametrize("rounds", [2, 8, 19])
def test_below_twenty_rounds_the_interval_is_that_of_students_t(rounds):
    times, baseline = noisy(rounds)
    logs = np.log(times / baseline)
    low, high = stats.t.interval(CONFIDENCE, rounds - 1, logs.mean(), stats.sem(logs))
    ratio = paired_ratio(times, baseline)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(low), math.exp(high)))


@pytest.mark.parametrize("noise", ["normal", "heavy", "skewed"])
def test_from_twenty_rounds_on_the_interval_spans_students_t_and_the_bca_bootstrap_and_repeats(noise):
    rng = np.random.default_rng(3)
    logs = {"normal": rng.normal, "heavy": lambda size: rng.standard_t(3, size), "skewed": rng.exponential}[noise](
        size=31
    )
    both = [
        stats.t.interval(CONFIDENCE, 30, logs.mean(), stats.sem(logs)),
        stats.bootstrap(
            (logs,), np.mean, confidence_level=0.95, method="BCa", rng=np.random.default_rng(5)
        ).confidence_interval,
    ]
    assert both[0] != pytest.approx(both[1])
    ratio = paired_ratio(np.exp(logs), np.ones(31), seed=5)
    lows, highs = zip(*both, strict=True)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(min(lows)), math.exp(max(highs))))
    assert ratio == paired_ratio(np.exp(logs), np.ones(31), seed=5)


def test_noise_with_heavy_tails_leaves_the_interval_its_promise():
    # 300 trials: the share has a standard deviation of 1.3 %. The BCa bootstrap alone covers 88 % of these.
    rng, held = np.random.default_rng(0), 0
    for trial in range(300):
        ratio = paired_ratio(np.exp(0.09 * rng.standard_t(3, 24)), np.ones(24), seed=trial)
        held += ratio.low <= 1 <= ratio.high
    assert held / 300 >= 0.93


@pytest.mark.parametrize("rounds", [2, 8, 20])
def test_identical_arms_give_exactly_one(rounds):
    times, _ = noisy(rounds)
    ratio = paired_ratio(times, times)
    assert (ratio.value, ratio.low, ratio.high) == (1.0, 1.0, 1.0)


def test_what_a_round_does_to_both_arms_cancels():
    times, baseline = noisy(8, noise=0.0)
    drift = np.linspace(1, 10, 8)
    ratio = paired_ratio(times * drift, baseline * drift)
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(0.3), math.exp(0.3)))


@REPEATABLE
@given(PAIRS)
def test_swapping_the_arms_inverts_value_and_interval(pairs):
    times, baseline = zip(*pairs, strict=True)
    forth, back = paired_ratio(times, baseline), paired_ratio(baseline, times)
    assert math.log(forth.value) == pytest.approx(-math.log(back.value), abs=1e-9)
    assert np.log([forth.low, forth.high]) == pytest.approx(-np.log([back.high, back.low]), rel=1e-9, abs=1e-9)


@REPEATABLE
@given(PAIRS, st.floats(1e-3, 1e3))
def test_scaling_both_arms_changes_nothing(pairs, scale):
    times, baseline = (np.array(arm) for arm in zip(*pairs, strict=True))
    before, after = paired_ratio(times, baseline), paired_ratio(times * scale, baseline * scale)
    assert (after.value, after.low, after.high) == pytest.approx((before.value, before.low, before.high), rel=1e-9)


@pytest.mark.parametrize("times", [[2.0], []])
def test_fewer_than_two_rounds_have_no_interval(times):
    ratio = paired_ratio(times, [1.0] * len(times))
    assert ratio.rounds == len(times)
    assert math.isnan(ratio.low)
    assert math.isnan(ratio.high)
    assert ratio.value == 2.0 if times else math.isnan(ratio.value)


def test_eight_rounds_of_normal_noise_hold_the_true_ratio_in_95_of_100_intervals():
    # 2,000 trials: the share of a true 95 % has a standard deviation of 0.5 %.
    trials = [paired_ratio(*noisy(8, seed=seed)) for seed in range(2000)]
    covered = sum(ratio.low <= math.exp(0.3) <= ratio.high for ratio in trials)
    assert 0.935 <= covered / 2000 <= 0.965


def test_an_interval_without_bounds_has_ends_that_are_numbers_and_have_inverses():
    """Two rounds, of which one was halted: Student's t with one degree of freedom at a strict level."""
    ratio = paired_ratio([1.0, 1e6], [1.0, 1.0])
    for low, high in ((ratio.low, ratio.high), ratio.at(1e-6)):
        assert 0 < low < 1 < high < math.inf
        assert math.isfinite(1 / low)


def test_the_interval_is_the_same_however_many_samples_are_held_at_once(monkeypatch):
    whole = paired_ratio(*noisy(40))
    monkeypatch.setattr(ratios, "BATCH", 40 * 7)
    assert paired_ratio(*noisy(40)) == whole
