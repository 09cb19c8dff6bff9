"""The figure of every round: which round it says stands out, and where it shows that."""

import dataclasses

import pytest

from suites.plots import draw, rounds
from suites.plots.rounds import BINS, lanes, message
from suites.plots.views import views
from suites.store.cell_folder import CellWriter, read_rounds
from suites.store.records import Round

from .test_plots import CORE, tables

STEP_S = 0.01


def timed(strategy, index, slow=1.0, steps=20, at=(), disturbed=False, warmup=False):
    """A round whose prefill takes 0.1 s and each step 0.01 s, times ``slow`` at the steps ``at``, or at all."""
    marks = [0.0, 0.1, 0.11]
    for step in range(1, steps + 1):
        marks.append(marks[-1] + STEP_S * (slow if not at or step in at else 1.0))
    return Round(strategy, index, warmup, True, marks, disturbed=disturbed)


QUIET = [timed(strategy, index) for index in range(5) for strategy in CORE]


def slowed(strategies, index, **how):
    return [timed(r.strategy, index, **how) if r.index == index and r.strategy in strategies else r for r in QUIET]


def test_rounds_that_agree_are_said_to_and_one_that_does_not_is_named():
    assert message(lanes(QUIET, CORE)) == "No round stands out: each took within 0 % of its strategy's median time"
    one = lanes(slowed(["static_kv"], 3, slow=3.0), CORE)
    assert message(one) == "Round 4 of static_kv took 2.3x its median time; it was slow in none of the 3 others"
    every = lanes(slowed(CORE, 1, slow=3.0), CORE)
    assert message(every) == "Round 2 of full_recompute took 2.3x its median time; it was slow in 3 of the 3 others"


def test_the_map_shows_the_steps_that_were_slow_and_no_others():
    (lane,) = lanes(slowed(["static_kv"], 3, slow=3.0, at=(7, 8)), ["static_kv"])
    assert lane.steps_RK.shape == (5, lane.steps) == (5, 21 - 1 + 1)
    found = {(row, column) for row in range(5) for column in range(lane.steps) if lane.steps_RK[row, column] > 1.01}
    assert {row for row, _ in found} == {3}
    assert len(found) == 2
    assert lane.steps_RK.max() == pytest.approx(3.0)


def test_many_steps_share_columns_whose_times_still_stand_out():
    (lane,) = lanes([timed("a", i, slow=1.0 + (i == 2), steps=1000, at=(500,)) for i in range(5)], ["a"])
    assert lane.steps_RK.shape == (5, BINS)
    assert (lane.steps_RK > 1.001).sum() == 1


def test_warm_ups_and_repeats_of_the_baseline_are_left_out():
    more = [timed("static_kv", 9, slow=9.0, warmup=True), timed("full_recompute (A/A)", 1, slow=9.0)]
    assert message(lanes([*QUIET, *more], CORE)).startswith("No round stands out")


@pytest.mark.parametrize("kept", [[], QUIET[:4]], ids=["no rounds", "one round each"])
def test_without_rounds_there_is_no_such_figure_and_the_others_are_drawn(tmp_path, kept, monkeypatch):
    monkeypatch.setattr("suites.plots.FIGURES", (rounds, *(m for m in draw.__globals__["FIGURES"] if m is not rounds)))
    table, steps = tables()
    write(tmp_path, table["cell"].iloc[0], kept)
    names = [path.stem for path in draw(tmp_path, table, steps)]
    assert "rounds" not in names
    assert "totals" in names


def write(folder, cell, kept):
    writer = CellWriter(folder, cell)
    for done in kept:
        writer.round(done)


def test_the_rounds_of_the_last_cell_are_drawn_and_disturbed_ones_are_hollow(tmp_path):
    table, steps = tables(((16, 16), (64, 64)))
    first, last = table["cell"].iloc[0], table["cell"].iloc[-1]
    write(tmp_path, first, [timed("static_kv", index, slow=1.0 + index) for index in range(5)])
    write(tmp_path, last, slowed(["cross_kv"], 2, slow=3.0, disturbed=True))
    assert len(read_rounds(tmp_path, last)) == len(QUIET)
    assert read_rounds(tmp_path, "../x") == read_rounds(tmp_path, "x") == []
    assert "rounds" in [path.stem for path in draw(tmp_path, table, steps)]
    drawn = (tmp_path / "plots" / "rounds.svg").read_text()
    assert "Round 3 of cross_kv took 2.3x its median time" in drawn
    assert "Hollow: other processes used the CPU for certain." in " ".join(drawn.split())


def test_an_axis_on_which_one_round_took_many_times_as_long_has_more_numbers_than_100():
    (view,) = views(*tables(), {})
    drawn = rounds.figure(dataclasses.replace(view, timed=slowed(["static_kv"], 2, slow=6.0)))
    drawn.draw_without_rendering()
    low, high = drawn.axes[0].get_xlim()
    ticks = drawn.axes[0].get_xticklabels(which="both")
    assert {"100", "200"} <= {tick.get_text() for tick in ticks if low <= tick.get_position()[0] <= high}
