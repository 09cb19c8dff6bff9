"""When rounds stop: the rule on its edges, on made-up series, and what stopping early does to an interval's promise."""

import math

import numpy as np
import pytest
from scipy.special import stdtrit

from suites.config import MeasureConfig
from suites.statistics import paired_ratio
from suites.stopping import forecast, half_width, stopped_by

RULE = MeasureConfig(rounds=6, precision=0.02, rounds_max=50, seconds_max=100.0)
NAN = math.nan


@pytest.mark.parametrize(
    ("rounds", "widths", "elapsed_s", "wanted"),
    [
        (5, [0.001], 1e9, None),  # nothing stops before the floor
        (6, [0.001, 0.02], 0, "precision"),
        (6, [0.001, 0.021], 0, None),  # every ratio, not most
        (6, [0.001, NAN], 0, None),
        (49, [0.1], 99.9, None),
        (50, [0.1], 0, "rounds_max"),
        (50, [0.01], 0, "precision"),
        (7, [0.1], 100.0, "seconds_max"),
        (6, [], 0, "rounds"),  # nothing to compare
    ],
)
def test_the_rule_on_its_edges(rounds, widths, elapsed_s, wanted):
    assert stopped_by(RULE, rounds, widths, elapsed_s) == wanted


@pytest.mark.parametrize(("rounds", "wanted"), [(5, None), (6, "rounds"), (7, "rounds")])
def test_without_a_precision_it_is_exactly_the_rounds_asked_for(rounds, wanted):
    assert stopped_by(MeasureConfig(rounds=6, rounds_max=2, seconds_max=1e-9), rounds, [9.0], 1e9) == wanted


def test_the_half_width_is_that_of_the_ratio_that_is_reported():
    times, base = [1.1, 1.2, 1.05, 1.15], [1.0, 1.02, 0.98, 1.0]
    ratio = paired_ratio(times, base)
    assert half_width(times, base) == pytest.approx(ratio.high / ratio.value - 1)
    assert half_width([3.0, 6.0], [1.0, 2.0]) == 0.0
    assert math.isnan(half_width([1.0], [1.0]))


@pytest.mark.parametrize(
    ("rounds", "widths", "elapsed_s", "wanted"),
    [
        (3, [0.5], 1.0, 6),  # the floor
        (10, [0.03], 1.0, 23),  # 10 x (0.03 / 0.02)^2 = 22.5
        (10, [0.5], 1.0, 50),  # the most there may be
        (10, [0.5], 50.0, 20),  # 5 s a round, 100 s
        (10, [0.021], 99.0, 11),  # at least one, as it did not stop
    ],
)
def test_the_forecast_follows_the_root_of_the_number_of_rounds_within_the_ceilings(rounds, widths, elapsed_s, wanted):
    assert forecast(RULE, rounds, widths, elapsed_s) == wanted


def series(noise, seed, rounds=50):
    """Times of an arm and the baseline, log ratio normal about 0.1, which drift together."""
    rng = np.random.default_rng(seed)
    base = np.exp(np.cumsum(rng.normal(0, 0.1, rounds)))
    return base * np.exp(rng.normal(0.1, noise, rounds)), base


def ended(noise, seed, measure=RULE):
    """(rounds, why) of the rule fed one round of a series after another, each taking a second."""
    times, base = series(noise, seed)
    for count in range(1, len(times) + 1):
        why = stopped_by(measure, count, [half_width(times[:count], base[:count])], float(count))
        if why:
            return count, why
    raise AssertionError("it did not stop")


def test_quiet_series_stop_at_the_floor_noisy_ones_at_the_ceiling_and_others_between():
    assert ended(0.001, 0) == (6, "precision")
    assert ended(0.5, 0) == (50, "rounds_max")
    count, why = ended(0.04, 0)
    assert why == "precision"
    assert 6 < count < 50
    assert ended(0.5, 0, MeasureConfig(rounds=6, precision=0.02, rounds_max=50, seconds_max=9.0)) == (9, "seconds_max")


def simulated(noise, floor, trials=4000, ceiling=100, seed=0):
    """(coverage of the stopped t interval, mean of the stopped log ratio, mean rounds): one ratio of normal noise.

    The figures of docs/design.md are those of 20,000 trials.
    """
    logs_TR = np.random.default_rng(seed).normal(0, noise, (trials, ceiling))
    n_R = np.arange(1, ceiling + 1)
    mean_TR = np.cumsum(logs_TR, 1) / n_R
    spread_TR = np.sqrt(np.maximum(np.cumsum(logs_TR**2, 1) - n_R * mean_TR**2, 0) / np.maximum(n_R - 1, 1))
    half_TR = stdtrit(np.maximum(n_R - 1, 1), 0.975) * spread_TR / np.sqrt(n_R)
    enough_TR = (np.expm1(half_TR) <= 0.02) & (n_R >= floor) | (n_R == ceiling)
    stop_T = enough_TR.argmax(1)
    at = np.arange(trials), stop_T
    return float((np.abs(mean_TR[at]) <= half_TR[at]).mean()), float(mean_TR[at].mean()), float(stop_T.mean() + 1)


@pytest.mark.parametrize(
    ("noise", "floor", "lowest", "highest"),
    [(0.01, 6, 0.94, 0.96), (0.05, 6, 0.915, 0.945), (0.05, 24, 0.935, 0.96), (0.08, 24, 0.93, 0.96)],
)
def test_stopping_costs_an_interval_at_most_two_points_of_its_promise_and_moves_no_ratio(noise, floor, lowest, highest):
    # 4,000 trials: the share has a standard deviation of 0.4 %, the mean one of noise / sqrt(4000 x rounds).
    coverage, mean, rounds = simulated(noise, floor)
    assert lowest <= coverage <= highest
    assert abs(mean) < 4 * noise / math.sqrt(4000 * floor)
    assert rounds >= floor
