"""When rounds stop: the rule on its edges, on made-up series, and what stopping early does to an interval's promise."""

import math

import numpy as np
import pytest

from suites.judging.ratios import paired_ratio
from suites.measuring.stopping import HalfWidth, forecast, stopped_by
from suites.settings.config import MeasureConfig

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


def half_width(times, base):
    found = HalfWidth()
    found.add(times, base)
    return found.value


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


def simulated(draw, floor, trials, ceiling=100, seed=0):
    """(share of stopped intervals that hold the truth, mean of the stopped log ratio, mean rounds) of the real rule.

    ``draw(rng, size)``: noise of a log ratio, of mean zero. The figures of docs/design.md are those of 20,000 trials.
    """
    rule = MeasureConfig(rounds=floor, precision=0.02, rounds_max=ceiling, seconds_max=math.inf)
    held, logs, counts = 0, [], []
    for trial in range(trials):
        times = np.exp(draw(np.random.default_rng((seed, trial)), ceiling))
        base = np.ones(ceiling)
        count = next(
            n for n in range(floor, ceiling + 1) if stopped_by(rule, n, [half_width(times[:n], base[:n])], float(n))
        )
        ratio = paired_ratio(times[:count], base[:count])
        held += ratio.low <= 1 <= ratio.high
        logs.append(math.log(ratio.value))
        counts.append(count)
    return held / trials, float(np.mean(logs)), float(np.mean(counts))


def normal(noise):
    return lambda rng, size: rng.normal(0, noise, size)


def skewed(noise):
    return lambda rng, size: rng.exponential(noise, size) - noise


@pytest.mark.parametrize(
    ("draw", "floor", "lowest", "highest"),
    [
        (normal(0.01), 6, 0.92, 0.975),
        (normal(0.05), 6, 0.90, 0.96),
        (normal(0.08), 24, 0.925, 0.98),
        (skewed(0.05), 24, 0.87, 0.945),
    ],
    ids=["normal 1 %", "normal 5 %", "normal 8 %", "skewed 5 %"],
)
def test_what_stopping_costs_an_interval_of_its_promise(draw, floor, lowest, highest):
    # 600 trials: the share has a standard deviation of about 1 %.
    coverage, mean, rounds = simulated(draw, floor, trials=600)
    assert lowest <= coverage <= highest
    assert abs(mean) < 0.006
    assert rounds >= floor
