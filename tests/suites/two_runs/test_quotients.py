"""The quotient of two unpaired figures: its interval holds the truth, and equal runs are rarely called worse."""

import math

import numpy as np
import pytest

from suites.judging.ratios import paired_ratio
from suites.two_runs.quotients import Mean, quotient, verdicts
from suites.verbs.arguments import margin


def test_the_interval_of_a_quotient_covers_the_truth():
    """Two runs of six rounds with unequal noise, 400 times: 95 % of intervals hold the true quotient."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(400):
        a, b = np.exp(rng.normal(0, 0.02, 6)), np.exp(rng.normal(np.log(1.1), 0.08, 6))
        ratio = quotient(Mean.of(a), Mean.of(b))
        hits += ratio.low <= 1.1 <= ratio.high
    assert 0.92 <= hits / 400 <= 0.985


def test_interval_and_p_value_are_scipys():
    from scipy import stats

    rng = np.random.default_rng(1)
    a, b = np.exp(rng.normal(0, 0.02, 6)), np.exp(rng.normal(0.05, 0.08, 9))
    ratio, wanted = quotient(Mean.of(a), Mean.of(b)), stats.ttest_ind(np.log(b), np.log(a), equal_var=False)
    assert ratio.p == pytest.approx(wanted.pvalue)
    interval = wanted.confidence_interval()
    assert (ratio.low, ratio.high) == pytest.approx((math.exp(interval.low), math.exp(interval.high)))


def test_a_mean_is_had_from_the_interval_that_a_table_kept():
    times, baseline = [2.0, 2.2, 1.9, 2.1], [1.0, 1.05, 1.0, 0.9]
    kept = paired_ratio(times, baseline)
    direct = Mean.of([t / b for t, b in zip(times, baseline, strict=True)])
    again = Mean.of_interval(kept.value, kept.low, kept.high, kept.rounds)
    assert (again.log, again.variance) == pytest.approx((direct.log, direct.variance))


@pytest.mark.parametrize("ratios", [3, 15, 60])
def test_equal_runs_fail_in_at_most_one_of_twenty(ratios):
    """6 rounds of every strategy and of the baseline that they share, 5 % noise a round, margin 5 %; 400 pairs of runs.

    Up to 0.05 + 2 standard errors of a share of 400 are allowed.
    """
    rng = np.random.default_rng(ratios)
    failed = 0
    for _ in range(400):
        noise = np.exp(rng.normal(0, 0.05, (2, ratios + 1, 6)))
        means = [[Mean.of(times / run[0]) for times in run[1:]] for run in noise]
        words = verdicts([quotient(a, b) for a, b in zip(*means, strict=True)], 0.05)
        failed += any(word == "slower" for _, word in words)
    assert failed / 400 <= 0.05 + 2 * math.sqrt(0.05 * 0.95 / 400)


def test_a_true_slowdown_is_found_among_many():
    rng = np.random.default_rng(7)
    noise = np.exp(rng.normal(0, 0.02, (2, 15, 6)))
    noise[1, 0] *= 1.3
    changes = [quotient(Mean.of(a), Mean.of(b)) for a, b in zip(*noise, strict=True)]
    assert [word for _, word in verdicts(changes, 0.05)].index("slower") == 0


def test_what_has_no_interval_is_undecided():
    assert [w for _, w in verdicts([quotient(Mean.of([1.0]), Mean.of([2.0]))], 0.05)] == ["undecided"]
    assert math.isnan(quotient(Mean.of([]), Mean.of([])).value)


def test_a_margin_is_a_share_or_a_percentage():
    assert margin("5%") == margin("0.05") == 0.05
