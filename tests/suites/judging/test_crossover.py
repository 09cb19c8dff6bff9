"""Crossings of exact polynomials, of noisy ones, and of rounds that a machine disturbed."""

import math

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from suites.judging.crossover import Crossover, crossover, cumulative_s
from suites.store.cell_folder import CellResult
from suites.store.records import ArmResult, Round
from suites.tables.case_table import case_table
from suites.tables.columns import CROSSOVER
from suites.telling.advice import crossover as advice

N = 64
K = np.arange(1, N + 1)


def marks(prefill_s, latency_s):
    """A round's marks, from the time before the first step and that of each step."""
    return np.cumsum([0.0, prefill_s, *latency_s]).tolist()


def polynomial(a, b=0.0, c=0.0):
    """Latency of each step, in seconds."""
    return a + b * K + c * K**2


def rounds(*marks_s):
    return dict(enumerate(marks_s))


def by_hand(mine, other):
    """The first n from which on the plain sums stay below."""
    behind = np.flatnonzero(np.array(mine)[2:] >= np.array(other)[2:])
    first = int(behind[-1]) + 2 if len(behind) else 1
    return first if first <= len(mine) - 2 else None


CASES = {
    "flat against linear": (marks(5.0, polynomial(1.0)), marks(1.0, polynomial(0.5, 0.03))),
    "linear against square": (marks(9.0, polynomial(1.0, 0.01)), marks(1.0, polynomial(0.9, 0.0, 0.001))),
    "a first step that is no part of the fit": (
        marks(1.0, [30.0, *polynomial(1.0)[1:]]),
        marks(1.0, [2.0, *polynomial(1.0, 0.02)[1:]]),
    ),
    "at the last step": (marks(N - 0.5, polynomial(1.0)), marks(0.0, polynomial(2.0))),
}


@pytest.mark.parametrize("name", CASES)
def test_exact_polynomials_cross_where_their_sums_do(name):
    mine, other = CASES[name]
    found = crossover(rounds(mine, mine), rounds(other, other))
    wanted = by_hand(mine, other)
    assert 1 < wanted <= N
    assert found == Crossover(wanted, wanted, wanted, N, 2)


def test_the_crossing_worked_out_by_hand():
    # Sums n + 10 and 2 n + 1: equal at 9, so less from the tenth on.
    found = crossover(rounds(marks(10.0, polynomial(1.0))), rounds(marks(1.0, polynomial(2.0))))
    assert found.k == 10


def test_from_the_first_token_on_and_never():
    fast, slow = marks(1.0, polynomial(1.0)), marks(2.0, polynomial(1.0, 0.1))
    assert crossover(rounds(fast, fast), rounds(slow, slow)) == Crossover(1, 1, 1, N, 2)
    assert crossover(rounds(slow, slow), rounds(fast, fast)) == Crossover(None, None, None, N, 2)
    assert crossover(rounds(fast, fast), rounds(fast, fast)).k is None


def test_a_lead_that_is_lost_again_is_none():
    early = marks(0.0, polynomial(1.0, 0.0, 0.001))
    assert crossover(rounds(early), rounds(marks(1.0, polynomial(1.0)))).k is None


def test_one_round_says_when_but_not_how_surely():
    mine, other = CASES["flat against linear"]
    assert crossover(rounds(mine), rounds(other)) == Crossover(by_hand(mine, other), 1, None, N, 1)


def test_rounds_are_paired_by_number_and_cut_to_the_shortest():
    mine, other = CASES["flat against linear"]
    drift = [1.0, 30.0, 2.0, 5.0]
    slowed = [[scale * mark for mark in mine] for scale in drift], [[scale * mark for mark in other] for scale in drift]
    wanted = by_hand(mine, other)
    assert crossover(rounds(*slowed[0]), rounds(*slowed[1])) == Crossover(wanted, wanted, wanted, N, 4)
    apart = crossover({0: mine, 1: mine, 7: [9e9] * (N + 2)}, {1: other, 0: other[:-1], 8: mine})
    assert (apart.steps, apart.rounds, apart.k) == (N - 1, 2, wanted)
    nothing = crossover({0: mine}, {1: other})
    assert (nothing.k, nothing.low, nothing.high, nothing.rounds) == (None, None, None, 0)


@pytest.mark.parametrize("at", [1, 7, 40, N - 2, N - 1])
def test_an_interrupted_step_moves_no_sum_but_its_own_where_it_is_the_first(at):
    latency_s = polynomial(1.0, 0.01) * (1 + 0.01 * np.random.default_rng(1).standard_normal(N))
    slow_s = latency_s.copy()
    slow_s[at] += 50.0
    calm, hit = (cumulative_s(np.array([marks(1.0, s)]))[0, -1] for s in (latency_s, slow_s))
    assert hit == pytest.approx(calm, rel=2e-3)
    slow_s = latency_s.copy()
    slow_s[0] += 50.0
    assert cumulative_s(np.array([marks(1.0, slow_s)]))[0, -1] == pytest.approx(calm + 50.0)


@pytest.mark.parametrize("steps", [1, 2, 3, 4, 7, 8, 9])
def test_few_steps_keep_their_sum(steps):
    latency_s = np.random.default_rng(steps).uniform(1.0, 1.5, steps)
    whole = cumulative_s(np.array([marks(1.0, latency_s)]))
    assert whole.shape == (1, steps)
    assert whole[0, -1] == pytest.approx(1.0 + latency_s.sum(), rel=1e-9 if steps < 9 else 0.05)


def simulated(seed, count=6, noise=0.1, interrupted=0.01):
    """Two arms whose true sums cross at a known length, with noise, drift and interrupted steps."""
    rng = np.random.default_rng(seed)
    drift = np.exp(rng.normal(0, 0.2, count))

    def arm(prefill_s, latency_s):
        found = []
        for scale in drift:
            slow = np.where(rng.random(N) < interrupted, rng.uniform(5, 30, N), 1.0)
            found.append(marks(prefill_s * scale, latency_s * scale * np.exp(rng.normal(0, noise, N)) * slow))
        return rounds(*found)

    true = (10.0, polynomial(1.0, 0.002)), (2.0, polynomial(0.9, 0.015))
    return arm(*true[0]), arm(*true[1]), by_hand(marks(*true[0]), marks(*true[1]))


def test_the_interval_holds_the_true_crossing_in_95_of_100_simulations():
    trials = [simulated(seed) for seed in range(200)]
    found = [(crossover(mine, other), truth) for mine, other, truth in trials]
    covered = sum((c.low or math.inf) <= truth <= (c.high or math.inf) for c, truth in found)
    assert 0.9 <= covered / len(found) <= 0.995
    widths = [(c.high or N) - c.low for c, _ in found]
    assert np.median(widths) < 12
    assert 20 < found[0][1] < 50


@settings(derandomize=True, deadline=None, max_examples=60)
@given(st.data())
def test_the_estimate_lies_inside_its_interval_and_swapped_arms_do_not_both_win(data):
    count, steps = data.draw(st.integers(1, 4)), data.draw(st.integers(1, 12))
    gaps = st.lists(st.floats(1e-6, 1e3), min_size=steps + 1, max_size=steps + 1)
    arm = st.lists(gaps, min_size=count, max_size=count)
    mine, other = (rounds(*(marks(gap[0], gap[1:]) for gap in data.draw(arm))) for _ in range(2))
    forth, back = crossover(mine, other), crossover(other, mine)
    assert (forth.low or math.inf) <= (forth.k or math.inf) <= (forth.high or math.inf)
    assert forth.k is None or back.k is None
    assert (forth.steps, forth.rounds) == (steps, count)


def test_equal_totals_are_a_tie_both_ways_and_a_fit_below_zero_overflows_nowhere():
    """Two cases that random ones found: sums that differ by rounding alone, and a fit that makes a sum tiny."""
    falling = [3.0, 1.5, *[1.0] * 11]
    mine = rounds(marks(1.0, [1, 1, 1, 2, 1, 1, 1.5, 4, 4, 3, 1, 4]), marks(falling[0], falling[1:]))
    other = rounds(marks(falling[0], falling[1:]), marks(1.0, [2, 1, 1, 1, 1, 1, 2.5, 3, 5, 1, 1, 5]))
    assert None in (crossover(mine, other).k, crossover(other, mine).k)
    spike, flat = rounds(marks(1.0, [1, 1, 1, 21, 1])), rounds(marks(1.0, [2, 1, 1, 1, 1]))
    assert crossover(spike, flat).k is None
    assert crossover(flat, spike).steps == 5


LABELS = ("full_recompute", "static_kv", "slow", "alone")


def table(stop="fixed", **cell):
    """A cell in which one strategy crosses, one never does, one shares no round; another, shorter one."""
    mine, other = CASES["flat against linear"]
    slow = [2 * mark for mark in other]
    arms = [ArmResult(name, "ok", steps=N, row_lens=[N]) for name in LABELS] + [ArmResult("bad", "failed", "why")]
    kept = [
        Round(name, index + 9 * (name == "alone"), False, True, times)
        for name, times in zip(LABELS, (other, mine, slow, mine), strict=True)
        for index in range(3)
    ]
    warm_up = Round("static_kv", -1, True, True, [0.0] * (N + 2))
    facts = {
        "model": {"name": "m"}, "device": "cpu", "dtype": "fp32", "threads": 1, "batch_size": 2, "src_len": N,
        "tgt_len": N, "stop": stop, "seed": 0, "formulas": {},
    }  # fmt: skip
    longest = CellResult("long", facts | cell, arms, [warm_up, *kept])
    shorter = CellResult("short", facts | cell | {"tgt_len": 8, "src_len": 8}, arms, kept)
    return case_table([shorter, longest])


def test_the_table_has_the_crossing_of_every_strategy_and_none_of_the_baseline():
    found = table().query("cell == 'long'").set_index("strategy")[CROSSOVER]
    wanted = by_hand(*CASES["flat against linear"])
    assert found.loc["static_kv"].tolist() == [wanted] * 3
    for name in ("full_recompute", "slow", "alone", "bad"):
        assert found.loc[name].isna().all()


@pytest.mark.parametrize(("stop", "within"), [("fixed", "within 64 tokens"), ("eos", "before the end")])
def test_the_summary_tells_the_longest_case_of_each_batch_in_sentences(stop, within):
    more = pd.concat([table(stop), table(stop, batch_size=3)])
    wanted = by_hand(*CASES["flat against linear"])
    sentences = [f"static_kv beats full_recompute from k = {wanted} on", f"slow never beats full_recompute {within}"]
    titles = [f"from which token on it pays, batch {batch}, 64 -> 64" for batch in (2, 3)]
    sections = advice.sections(more[more["status"] == "ok"])
    assert [section.title for section in sections] == titles
    assert all(section.sentences == sentences for section in sections)


@pytest.mark.parametrize(
    ("k", "low", "high", "sentence"),
    [
        (9, 6, 14, "new beats old from k = 9 on [6, 14]"),
        (120, 40, math.nan, "cannot tell from which token on new beats old within 256 tokens: k = 120 [40, never]"),
        (1, 1, 3, "new beats old from the first token on [1, 3]"),
        (1, 1, 1, "new beats old from the first token on"),
        (math.nan, 40, math.nan, "cannot tell whether new beats old within 256 tokens"),
        (math.nan, math.nan, math.nan, "new never beats old within 256 tokens"),
    ],
)
def test_sentences(k, low, high, sentence):
    names = {"strategy": "new", "baseline": "old", "tgt_len": 256, "stop": "fixed"}
    assert advice.sentence_of(names | dict(zip(CROSSOVER, (k, low, high), strict=True))) == sentence
