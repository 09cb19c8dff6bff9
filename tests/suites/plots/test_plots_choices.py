"""The figures that help to choose: the trade-off of time and memory, and the map of winners of a grid."""

import numpy as np
import pytest
from matplotlib import rc_context
from matplotlib.colors import to_rgb

from suites.plots import style, tradeoff, winners
from suites.plots.style import RC
from suites.plots.views import views

from .test_plots import CORE, MODULES, TIED, tables

MS, MIB = (8.0, 6.0, 3.0, 2.0), (4.0, 9.0, 6.0, 8.0)


def traded(**more):
    table, steps = tables(**more)
    table["tpot_s"] = [ms / 1e3 for ms in MS] * (len(table) // len(CORE))
    table["peak_memory_bytes"] = [mib * 2**20 for mib in MIB] * (len(table) // len(CORE))
    return table, steps


def test_the_trade_off_names_the_quickest_and_the_smallest_and_joins_what_nothing_beats():
    (view,) = views(*traded(), {})
    drawn = tradeoff.figure(view)
    assert drawn.get_suptitle() == (
        "Least time: static_kv (2 ms a token, 8 MiB); least memory: full_recompute (8 ms a token, 4 MiB)"
    )
    rows = view.last_rows.assign(ms=MS, mib=MIB)
    assert list(tradeoff.front(rows)["strategy"]) == ["full_recompute", "contiguous_kv", "static_kv"]
    (axes,) = (axes for axes in drawn.axes if axes.axison)
    assert axes.get_xlim()[0] == axes.get_ylim()[0] == 0
    points = {tuple(line.get_xydata()[0]) for line in axes.get_lines() if len(line.get_xydata()) == 1}
    assert points == set(zip(MIB, MS, strict=True))


def test_what_has_no_peak_is_told_and_one_point_is_no_trade_off():
    table, steps = traded()
    table.loc[table["strategy"] == "cross_kv", "peak_memory_bytes"] = np.nan
    (view,) = views(table, steps, {})
    assert "Peak not measured: cross_kv." in tradeoff.figure(view).get_supxlabel()
    table.loc[table["strategy"] != "static_kv", "peak_memory_bytes"] = np.nan
    (view,) = views(table, steps, {})
    assert tradeoff.figure(view) is None


@pytest.mark.parametrize("disturbed", [0, -1], ids=["another cell", "the cell that is shown"])
@pytest.mark.parametrize("name", ["tradeoff", "step_latency"])
def test_a_disturbance_is_told_of_the_cell_that_is_shown_alone(name, disturbed):
    table, steps = traded(lengths=TIED)
    cells = list(dict.fromkeys(table["cell"]))
    table["disturbed_by"] = ["other load" if cell == cells[disturbed] else "" for cell in table["cell"]]
    (view,) = views(table, steps, {})
    assert ("other load" in MODULES[name].figure(view).get_supxlabel()) == (disturbed == -1)


@pytest.mark.parametrize("equal", [False, True], ids=["apart", "all alike"])
def test_names_lie_inside_the_figure_and_over_none_of_one_another(equal):
    table, steps = traded()
    if equal:
        table["tpot_s"], table["peak_memory_bytes"] = 2e-3, 2.0**20
    (view,) = views(table, steps, {})
    drawn = tradeoff.figure(view)
    with rc_context(RC):
        drawn.draw_without_rendering()
    (axes,) = (axes for axes in drawn.axes if axes.axison)
    found = [text.get_window_extent().expanded(1.0, 0.85) for text in axes.texts]
    assert len(found) == len(CORE) + 1
    assert not any(a.overlaps(b) for i, a in enumerate(found) for b in found[i + 1 :])


def grid(verdict="slower", low=1.2, lengths=TIED[:3]):
    """A grid of three batches: static_kv is the quickest where the batch is 16, contiguous_kv elsewhere."""
    table, steps = tables(lengths, (1, 4, 16))
    large = table["batch_size"] == 16
    table["best_strategy"] = np.where(large, "static_kv", "contiguous_kv")
    mine = table["strategy"] == table["best_strategy"]
    near = table["strategy"].isin(["static_kv", "contiguous_kv"])
    table["best_ratio"] = np.where(mine, 1.0, np.where(near, 1.3, 2.5))
    table["best_ratio_low"], table["best_ratio_high"] = low * table["best_ratio"] / 1.3, 1.5
    table["best_verdict"] = np.where(mine, "baseline", verdict)
    return table, steps


@pytest.mark.parametrize(
    ("verdict", "low", "opacity", "title"),
    [
        ("slower", 1.2, winners.CERTAIN, "9 of the 9 winners are certain"),
        ("undecided", 1.2, winners.PROBABLE, "none of the 9 winners is certain"),
        ("too close", 1.2, winners.OPEN, "none of the 9 winners is certain"),
        ("undecided", 0.9, winners.OPEN, "none of the 9 winners is certain"),
        ("indistinguishable", 0.99, winners.OPEN, "none of the 9 winners is certain"),
    ],
)
def test_the_map_shows_who_is_the_quickest_and_how_certain_that_is(verdict, low, opacity, title):
    table, steps = grid(verdict.replace("too close", "undecided"), low)
    table["best_holm_low"], table["best_holm_high"] = (1.1 if verdict == "too close" else 0.8), 1.6
    (view,) = views(table, steps, {})
    drawn = winners.figure(view)
    assert drawn.get_suptitle() == f"contiguous_kv is the quickest in 6 of 9 cells; {title}"
    cells = winners.winners(view)
    assert len(cells) == 9
    assert {winners.opacity_of(rival) for _, rival in cells.values()} == {opacity}
    (axes,) = (axes for axes in drawn.axes if axes.axison)
    texts = [text.get_text() for text in axes.texts]
    assert sum(text.startswith("static_kv\nnext: contiguous_kv,") for text in texts) == 3
    assert len({patch.get_facecolor() for patch in axes.patches}) == 2


def test_there_is_no_map_without_a_grid_or_where_no_quickest_is_known():
    for table, steps in (tables(TIED), tables(batches=(1, 4)), tables(TIED[:2], (1, 4))):
        (view,) = views(table, steps, {})
        assert winners.figure(view) is None


def test_a_map_of_many_cells_is_an_image_with_some_numbers_and_no_words():
    lengths = [(length, length) for length in range(8, 8 + 2 * winners.MOST_TOLD)]
    table, steps = grid("slower", 1.2, lengths)
    (view,) = views(table, steps, {})
    assert len(winners.winners(view)) == 3 * len(lengths)
    drawn = winners.figure(view)
    (axes,) = (axes for axes in drawn.axes if axes.axison)
    assert (len(axes.texts), len(axes.patches), len(axes.images)) == (0, 0, 1)
    assert axes.images[0].get_array().shape[:2] == (3, len(lengths))
    assert [tick.get_text() for tick in axes.get_xticklabels()] == [str(8 + 2 * i) for i in range(winners.MOST_TOLD)]
    red, green, blue = to_rgb(view.looks["static_kv"].color)
    assert axes.images[0].get_array()[2, 0].tolist() == pytest.approx((red, green, blue, 1), abs=1e-6)


def test_an_axis_of_many_values_names_the_ends_and_some_between():
    table, steps = tables([(length, length) for length in range(1, 200)])
    (view,) = views(table, steps, {})
    for axes in MODULES["totals"].figure(view).axes[:1]:
        ticks = list(axes.get_xticks())
        assert (ticks[0], ticks[-1]) == (1, 199)
        assert len(ticks) <= style.MOST_TICKS
