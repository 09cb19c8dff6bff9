"""Panels of the figures that have one for each batch."""

import pandas as pd
import pytest

from suites.plots import memory, step_latency
from suites.plots.views import views

from .test_plots import TIED, tables


@pytest.mark.parametrize("module", [memory, step_latency])
@pytest.mark.parametrize(
    ("batches", "shown"), [((1, 2, 4, 8), [1, 2, 4, 8]), ((1, 2, 4, 8, 16), [1, 4, 16])], ids=["all fit", "too many"]
)
def test_each_batch_has_a_panel_and_the_foot_says_if_some_are_left_out(module, batches, shown):
    (view,) = views(*tables(TIED[:2], batches), {})
    figure = module.figure(view)
    titles = [axes.get_title(loc="left") for axes in figure.axes if axes.get_title(loc="left").startswith("batch")]
    assert titles == [f"batch {size}" for size in shown]
    told = " ".join(" ".join(text.get_text() for text in figure.findobj(lambda one: hasattr(one, "get_text"))).split())
    assert ("3 of 5 batches are shown." in told) == (len(batches) > 4)


def test_a_batch_whose_longest_cell_failed_shows_the_steps_of_its_own_longest_and_names_its_length():
    table, steps = tables(TIED[:2], (1, 4, 16))
    gone = (table["batch_size"] == 4) & (table["tgt_len"] == 32)
    (view,) = views(table.assign(status=table["status"].mask(gone, "failed")), steps, {})
    shown = {title: set(mine["tgt_len"]) for title, mine in step_latency.longest(view)}
    assert shown == {"batch 1, 32 -> 32": {32}, "batch 4, 16 -> 16": {16}, "batch 16, 32 -> 32": {32}}
    assert "Source:" not in step_latency.figure(view).get_supxlabel()
    (equal,) = views(table, steps, {})
    assert [title for title, _ in step_latency.longest(equal)] == ["batch 1", "batch 4", "batch 16"]


def test_batches_whose_targets_are_too_short_for_a_curve_are_counted():
    table, steps = tables(((16, 2),), (4,))
    more, others = tables(TIED[:1], (1,))
    (view,) = views(pd.concat([table, more]), pd.concat([steps, others]), {})
    assert [title for title, _ in step_latency.longest(view)] == ["batch 1"]
    assert "1 of 2 batches are shown." in " ".join(step_latency.figure(view).get_supxlabel().split())


@pytest.mark.parametrize(("kept", "drawn"), [(1, []), (2, []), (3, ["full_recompute"])])
def test_steps_that_are_too_few_for_a_curve_are_left_out(kept, drawn):
    """As of a steps.csv that was cut off."""
    table, steps = tables()
    (view,) = views(table, steps.head(kept), {})
    assert [name for _, mine in step_latency.longest(view) for name in mine["strategy"].unique()] == drawn
    assert (step_latency.figure(view) is not None) == bool(drawn)
