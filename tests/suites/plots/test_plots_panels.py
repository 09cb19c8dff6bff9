"""Panels of the figures that have one for each batch."""

import pytest

from suites.plots import memory, step_latency
from suites.plots.view import views

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
    assert ("3 of 5" in told) == (len(batches) > 4)
