"""A failed case is a cross at the place of its cell, on the plots that go along an axis."""

import pytest
from matplotlib.colors import to_hex

from suites.plots import memory, totals
from suites.plots.views import views

from .test_plots import MACHINE, TIED, tables

LOST = [("cross_kv", 256, "failed"), ("static_kv", 256, "failed"), ("contiguous_kv", None, "invalid")]
LENGTHS = (*TIED, (256, 256))


def crosses(axes):
    """(place on the axis, colour) of each cross."""
    return [
        (line.get_xdata()[0], to_hex(line.get_color()))
        for line in axes.lines
        if line.get_marker() == "x" and line.get_transform() == axes.get_xaxis_transform()
    ]


@pytest.mark.parametrize("module", [totals, memory])
def test_each_failed_case_is_a_cross_in_the_colour_of_its_strategy_with_its_status(module):
    (view,) = views(*tables(LENGTHS, lost=LOST), MACHINE)
    axes = module.figure(view).axes[1]
    assert crosses(axes) == [(256, to_hex(view.looks[label].color)) for label in ("cross_kv", "static_kv")]
    assert [text.get_text() for text in axes.texts].count("failed") == 1
    assert "256" in [tick.get_text() for tick in axes.get_xticklabels()]


def test_a_strategy_that_was_measured_nowhere_has_its_cross_in_the_legend_alone():
    (view,) = views(*tables(TIED, lost=LOST[2:]), MACHINE)
    legend, times, *_ = totals.figure(view).axes
    assert crosses(times) == []
    assert [text.get_text() for text in legend.get_legend().get_texts()] == ["contiguous_kv: invalid"]


def test_a_cross_is_in_the_panel_of_its_cell_alone():
    table, steps = tables(TIED[:3], (1, 4))
    table.loc[(table["strategy"] == "cross_kv") & (table["batch_size"] == 4) & (table["tgt_len"] == 64), "status"] = (
        "failed"
    )
    (view,) = views(table, steps, MACHINE)
    one, four = totals.figure(view).axes[:2]
    assert crosses(one) == []
    assert [place for place, _ in crosses(four)] == [64]


def test_a_length_that_failed_as_a_whole_has_its_place_on_the_axis():
    table, steps = tables(TIED[:3])
    table.loc[table["tgt_len"] == 64, "status"] = "failed"
    (view,) = views(table, steps, MACHINE)
    axes = totals.figure(view).axes[0]
    assert {place for place, _ in crosses(axes)} == {64}
    assert len(crosses(axes)) == 4


def test_what_was_skipped_has_no_cross():
    (view,) = views(*tables(TIED, lost=[("cross_kv", 128, "skipped")]), MACHINE)
    assert crosses(totals.figure(view).axes[1]) == []
