"""Changes of level: how often there are false ones, which true ones are found, and what their intervals are."""

from itertools import combinations

import numpy as np
import pytest

from suites.judging.change_points import _outside, change_points, fewest

from .change_point_study import LENGTHS, NOISE, study

FLAT = [1.0, 1.02, 0.98, 1.01, 0.99]


@pytest.mark.parametrize("noise", NOISE)
@pytest.mark.parametrize("count", LENGTHS)
def test_a_flat_series_has_a_change_in_at_most_5_percent_of_cases(noise, count):
    """Of 300 series, at most 15 are expected to; 24 or more have a chance of 1.5 %, and these are seeded."""
    assert study(noise, count, series=300).any <= 23 / 300


def test_a_step_of_5_percent_in_noise_of_2_percent_is_found_where_it_is():
    found = study("normal", 30, series=100, step=1.05, at=15)
    assert found.any == 1.0
    assert found.near >= 0.88
    assert found.several <= 0.1
    assert found.held >= 0.88


def test_heavy_tails_do_not_hide_a_step():
    assert study("heavy tails (Student's t, 2 degrees of freedom)", 30, 50, step=1.1, at=15).any >= 0.95


def test_a_level_that_comes_back_has_two_changes():
    values = [*FLAT * 2, *(1.2 * value for value in FLAT * 2), *FLAT * 2]
    assert [change.at for change in change_points(values)] == [10, 20]
    there, back = change_points(values)
    assert there.factor == pytest.approx(1.2, rel=0.02)
    assert back.factor == pytest.approx(1 / 1.2, rel=0.02)
    assert there.low < 1.2 < there.high


def test_a_slowdown_that_was_mended_is_found_in_noise_where_it_began_and_ended():
    rng, right = np.random.default_rng(3), 0
    for _ in range(30):
        values = np.exp(0.02 * rng.normal(size=40))
        values[15:28] *= 1.1
        found = [change.at for change in change_points(values)]
        right += len(found) == 2 and abs(found[0] - 15) <= 1 and abs(found[1] - 28) <= 1
    assert right >= 27


@pytest.mark.parametrize("place", [0, 7, 29])
def test_one_outlier_is_no_change(place):
    values = np.exp(0.02 * np.random.default_rng(1).normal(size=30))
    values[place] *= 10
    assert change_points(values) == []


def test_below_the_fewest_values_nothing_is_found_and_from_there_on_a_step_is():
    for level in (0.05, 0.01):
        half = fewest(level) // 2
        step = [*(1 + 0.01 * np.arange(half)), *(2 + 0.01 * np.arange(half))]
        assert [change.at for change in change_points(step, level)] == [half]
        assert change_points(step[1:-1], level) == []


def test_values_that_are_all_equal_have_no_change():
    assert change_points([2.0] * 40) == []
    assert change_points([]) == []


def test_the_unit_does_not_matter_and_the_factor_turns_with_the_order():
    values = [*FLAT, *FLAT, *(1.3 * value for value in FLAT)]
    (change,), (scaled,), (turned,) = (change_points(some) for some in (values, np.array(values) * 1e-6, values[::-1]))
    assert (scaled.at, scaled.p) == (change.at, change.p)
    assert scaled.factor == pytest.approx(change.factor)
    assert turned.at == len(values) - change.at
    assert turned.factor == pytest.approx(1 / change.factor)
    assert (turned.low, turned.high) == pytest.approx((1 / change.high, 1 / change.low))


@pytest.mark.parametrize(("m", "n"), [(2, 8), (3, 5), (4, 4), (3, 3), (5, 7), (1, 39)])
def test_the_interval_leaves_out_as_many_differences_as_the_ranks_allow(m, n):
    """By counting all orders: the rank sum of the first sample falls that low in at most 2.5 % of them."""
    lowest = sorted(sum(order) - m * (m + 1) // 2 for order in combinations(range(1, m + n + 1), m))
    expected = sum(np.mean([value <= place for value in lowest]) <= 0.025 for place in range(m * n))
    assert _outside(m, n) == expected


def test_the_interval_of_large_samples_is_that_of_the_normal_distribution():
    exact, approximate = _outside(50, 50), _outside(50, 51)
    assert exact < approximate < exact + 30
