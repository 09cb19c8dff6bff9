"""The gate of ``make bench``: what it lets through and what it catches."""

import re
from math import log

import numpy as np
import pytest

from suites.judging.ratios import paired_ratio

from .pace import CEILINGS, judge
from .test_strategies import BASELINE, STRATEGIES


def ratio(value: float, spread: float = 0.05):
    """Of ten rounds, apart by ``spread`` as a share."""
    return paired_ratio(np.exp(log(value) + spread * np.linspace(-1, 1, 10)), np.ones(10))


def failures(ratios):
    return [pace.failure() for pace in judge(ratios)]


def test_every_strategy_that_is_timed_has_a_ceiling():
    assert set(CEILINGS) == set(STRATEGIES) - {BASELINE}


def test_what_is_undecided_passes_and_is_called_so():
    (pace,) = judge({"cross_kv": ratio(0.98, spread=0.5)})
    assert pace.ratio.high > 1.05
    assert pace.row()[-1] == "undecided"
    assert pace.failure() == ""


def test_what_is_certainly_slower_fails():
    (failure,) = failures({"cross_kv": ratio(1.2)})
    assert re.fullmatch(
        r"cross_kv: 1\.200 \(1\.1\d\d to 1\.2\d\d\) is slower than full_recompute by more than 5% and above .* 1\.0",
        failure,
    )


@pytest.mark.parametrize("label", CEILINGS)
def test_a_strategy_that_takes_twice_its_time_fails_also_where_it_beats_full_recompute(label):
    measured = {"cross_kv": 0.88, "contiguous_kv": 0.39}.get(label, 0.45)
    assert failures({label: ratio(measured, spread=0.3)}) == [""]
    assert "above its ceiling" in failures({label: ratio(2 * measured, spread=0.3)})[0]
    (pace,) = judge({"static_kv": ratio(0.9)})
    assert pace.row()[-1] == "faster, above its ceiling"


def test_only_an_interval_that_lies_wholly_above_the_ceiling_fails():
    assert failures({"static_kv": ratio(0.7, spread=0.5)}) == [""]


def test_verdicts_are_adjusted_over_the_table():
    barely = ratio(1.06, spread=0.12)
    (alone_,) = judge({"cross_kv": barely})
    assert alone_.verdict == "slower"
    assert {pace.verdict for pace in judge(dict.fromkeys(CEILINGS, barely))} == {"undecided"}
