"""Verdicts by a truth table, Holm's adjustment by hand and by its promise, both over the cells of a table."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from suites.judging.baseline import compare, noise_floor
from suites.judging.ratios import Ratio, paired_ratio
from suites.judging.verdict import holm, verdict
from suites.store.cell_folder import CellResult
from suites.store.records import ArmResult, Round, crossed_label, twin_label
from suites.tables.case_table import case_table
from suites.telling.summary import crossed_floor

NAN = math.nan
M = 0.02
P_VALUES = st.lists(st.floats(0, 1) | st.just(NAN), max_size=12)


@pytest.mark.parametrize(
    ("value", "low", "high", "p_holm", "wanted"),
    [
        (0.50, 0.45, 0.55, None, "faster"),
        (0.50, 0.45, 0.55, 0.049, "faster"),
        (0.50, 0.45, 0.55, 0.051, "undecided"),
        (0.50, 0.45, 0.55, NAN, "undecided"),
        (2.00, 1.80, 2.20, 0.001, "slower"),
        (2.00, 1.80, 2.20, 0.5, "undecided"),
        (0.90, 0.80, 1.01, 0.001, "undecided"),  # holds 1
        (0.99, 0.975, 0.995, 0.001, "undecided"),  # excludes 1, the estimate within the margin, the interval not
        (0.99, 0.985, 0.995, 0.001, "indistinguishable"),  # excludes 1, and lies within the margin
        (1.00, 0.99, 1.01, 0.9, "indistinguishable"),
        (1.00, 0.99, 1.01, None, "indistinguishable"),
        (1.00, 1 / (1 + M), 1 + M, 0.9, "indistinguishable"),
        (1.00, 0.98, 1.01, 0.9, "undecided"),  # 0.98 is below 1 / 1.02
        (1.00, 0.90, 1.10, 0.9, "undecided"),
        (1.00, 1.00, 1.00, 1.0, "indistinguishable"),
        (0.50, NAN, NAN, NAN, "undecided"),
        (0.50, NAN, NAN, None, "undecided"),
        (NAN, NAN, NAN, None, "undecided"),
    ],
)
def test_verdicts(value, low, high, p_holm, wanted):
    assert verdict(Ratio(value, low, high, 6), M, p_holm) == wanted


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.floats(0.2, 5), st.floats(1, 1.5), st.floats(0.001, 0.2))
def test_swapping_the_arms_turns_the_verdict_around(value, width, margin):
    opposite = {"faster": "slower", "slower": "faster"}
    forth = verdict(Ratio(value, value / width, value * width, 6), margin)
    back = verdict(Ratio(1 / value, 1 / (value * width), width / value, 6), margin)
    assert back == opposite.get(forth, forth)


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ([], []),
        ([0.03], [0.03]),
        # 4 x 0.005; 3 x 0.01; 2 x 0.03; 1 x 0.04, which may not be below the one before it
        ([0.01, 0.04, 0.03, 0.005], [0.03, 0.06, 0.06, 0.02]),
        ([0.4, 0.6, 0.5], [1.0, 1.0, 1.0]),
        ([0.02, 0.02], [0.04, 0.04]),
        ([NAN, 0.01, NAN, 0.02], [NAN, 0.02, NAN, 0.02]),
        ([0.0, 1.0], [0.0, 1.0]),
    ],
)
def test_holm_by_hand(given, wanted):
    assert holm(given) == pytest.approx(wanted, nan_ok=True)


@settings(derandomize=True, deadline=None, max_examples=60)
@given(P_VALUES, st.randoms(use_true_random=False))
def test_holm_keeps_the_order_never_lowers_and_does_not_mind_how_they_are_listed(p_values, random):
    adjusted = holm(p_values)
    known = [(p, a) for p, a in zip(p_values, adjusted, strict=True) if not math.isnan(p)]
    assert all(p <= a <= min(1, len(known) * p) or a == p for p, a in known)
    assert [a for _, a in sorted(known)] == sorted(a for _, a in known)
    order = random.sample(range(len(p_values)), len(p_values))
    assert holm([p_values[i] for i in order]) == pytest.approx([adjusted[i] for i in order], nan_ok=True)


@pytest.mark.parametrize("rounds", [2, 8, 25])
def test_the_p_value_is_that_of_scipys_paired_t_test(rounds):
    rng = np.random.default_rng(0)
    base, times = np.exp(rng.normal(0, 1, rounds)), np.exp(rng.normal(0.3, 1, rounds))
    wanted = stats.ttest_rel(np.log(times), np.log(base)).pvalue
    assert paired_ratio(times, base).p == pytest.approx(wanted)


def test_without_noise_a_p_value_is_certain():
    assert paired_ratio([1.0, 1.0], [1.0, 1.0]).p == 1.0
    assert paired_ratio([2.0, 2.0], [1.0, 1.0]).p == 0.0


def cell(times, name="a", failed=(), **more):
    """A cell of full recompute, 10 s in each round, and others whose times are given."""
    times = {"full_recompute": [10.0] * 4, **times}
    rounds = [
        Round(label, index, False, True, [0.0, 0.1, 0.2, value])
        for label, values in times.items()
        for index, value in enumerate(values)
    ]
    arms = [ArmResult(label, "ok", steps=2) for label in times if "A/A" not in label]
    arms += [ArmResult(label, "failed", "why") for label in failed]
    facts = {"model": {"name": "m"}, "device": "cpu", "batch_size": 1, "src_len": 2, "tgt_len": 2, "formulas": {}}
    return CellResult(name, facts | more, arms, rounds)


NEAR = [8.9, 9.6, 9.2, 9.7]  # p = 0.028 alone


def test_one_comparison_that_holds_alone_is_undecided_among_many():
    (alone,), _ = compare([cell({"new": NEAR})])
    assert alone["new"].verdict == "faster"
    crowd, _ = compare([cell({"new": NEAR}), *(cell({"new": [9.0, 11.0, 10.0, 10.1]}, str(i)) for i in range(3))])
    assert crowd[0]["new"].p_holm == pytest.approx(4 * alone["new"].p_holm)
    assert crowd[0]["new"].verdict == "undecided"
    assert crowd[0]["new"].ratio == alone["new"].ratio


def test_the_table_has_a_verdict_for_each_that_was_timed():
    known = {"fast": [5.0, 5.1, 5.2, 5.1], "like": [10.0, 10.02, 9.98, 10.01], "lost": []}
    table = case_table([cell(known, failed=["bad"])]).set_index("strategy")
    wanted = {"full_recompute": "baseline", "fast": "faster", "like": "indistinguishable", "lost": "", "bad": ""}
    assert table["e2e_verdict"].to_dict() == wanted
    assert table["e2e_p_holm"].notna().to_dict() == {name: name in ("fast", "like") for name in wanted}


def test_the_margin_is_that_of_the_run():
    near = {"near": [9.6, 9.61, 9.6, 9.59]}
    assert compare([cell(near)])[0][0]["near"].verdict == "faster"
    assert compare([cell(near, measure={"margin": 0.1})])[0][0]["near"].verdict == "indistinguishable"


@pytest.mark.parametrize(
    ("child", "far", "beyond"),
    [
        (None, "faster", 0.05),
        ([10.2, 10.6, 9.8, 10.2], "faster", 0.05),  # its interval holds 1: it shows nothing
        ([8.0, 8.0, 8.0, 8.0], "undecided", 0.25),  # the same code took four fifths of the time in a child
        ([12.0, 12.0, 12.0, 12.0], "undecided", 0.2),
    ],
)
def test_a_contender_is_told_apart_beyond_what_two_processes_may_differ_by(child, far, beyond):
    times = {"near": [9.62, 9.6, 9.61, 9.6], "far": [9.0, 9.01, 9.0, 8.99], "ours": [9.6, 9.61, 9.6, 9.59]}
    crossed = {} if child is None else {crossed_label("full_recompute"): child}
    (found,), (beside_best,) = compare([cell(times | crossed, contenders=["near", "far"])])
    assert {name: found[name].verdict for name in times} == {"near": "undecided", "far": far, "ours": "faster"}
    assert (found["ours"].beyond, found["far"].beyond) == (M, pytest.approx(beyond))
    assert beside_best["far"].baseline == "ours"
    assert beside_best["near"].verdict == "indistinguishable"  # 0.1 % from ours


def test_two_contenders_run_in_two_processes_and_an_asked_margin_that_is_wider_holds():
    times = {"rival": [9.6, 9.61, 9.6, 9.59], "full_recompute": [10.0] * 4}
    alone = cell(times, contenders=["rival", "full_recompute"])
    assert compare([alone])[0][0]["rival"].verdict == "undecided"
    wide = cell(times, contenders=["rival"], measure={"margin": 0.2})
    (found, *_), _ = compare([wide])
    assert (found["rival"].verdict, found["rival"].beyond) == ("indistinguishable", 0.2)


def test_the_a_a_arms_are_the_noise_floors_and_no_strategies_and_no_comparisons():
    child = [10.2, 10.6, 9.8, 10.2]
    twin = {twin_label("full_recompute"): [10.1, 10.3, 9.9, 10.1], crossed_label("full_recompute"): child, "new": NEAR}
    result = cell(twin)
    table = case_table([result]).set_index("strategy")
    assert list(table.index) == ["full_recompute", "new"]
    wanted = paired_ratio([10.1, 10.3, 9.9, 10.1], [10.0] * 4)
    assert table.loc["full_recompute", "noise_floor"] == pytest.approx(wanted.value)
    assert table.loc["full_recompute", "noise_floor_high"] == pytest.approx(wanted.high)
    assert table.loc["full_recompute", "crossed_floor_low"] == pytest.approx(paired_ratio(child, [10.0] * 4).low)
    assert table.loc["new", ["noise_floor", "crossed_floor"]].isna().all()
    assert table.loc["new", "e2e_p_holm"] == pytest.approx(paired_ratio(NEAR, [10.0] * 4).p)
    assert math.isnan(noise_floor(cell({}), "full_recompute").value)


@pytest.mark.parametrize(("child", "warned"), [([10.2, 10.6, 9.8, 10.2], False), ([12.2, 12.6, 11.8, 12.2], True)])
def test_a_child_process_of_another_speed_is_told_with_what_to_do(child, warned):
    told = crossed_floor(case_table([cell({crossed_label("full_recompute"): child})]))
    assert told.startswith("noise floor of contenders: A/A ratio, the second in a child process as they run, 1.")
    assert ("ratios to contenders may be off by as much, and only beyond it" in told) is warned
