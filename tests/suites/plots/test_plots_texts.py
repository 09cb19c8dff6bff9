"""The plots of a run over a file of texts, each batch of which is a cell."""

import pandas as pd

from suites.plots import flops, memory, step_latency, totals
from suites.plots.views import views
from suites.tables.columns import completed
from suites.telling.ranking import rankings
from tests.suites.plots.test_plots import CORE, MACHINE, tables

BATCHES = (8, 31), (8, 40), (8, 31), (3, 22)
"""(sentences, longest source) of the batches of a file of 27 sentences; two of them are of equal sizes."""


def of_texts() -> tuple[pd.DataFrame, pd.DataFrame]:
    found = []
    for number, (batch, source) in enumerate(BATCHES):
        batches = tables(((source, 16),), (batch,), CORE[:2])
        found.append([t.assign(cell=f"batch {number}", first_sentence=1 + 8 * number) for t in batches])
    table, steps = (pd.concat(parts, ignore_index=True) for parts in zip(*found, strict=True))
    return table, steps.drop(columns="first_sentence")


def test_the_axis_is_the_first_sentence_of_each_batch_and_a_smaller_last_batch_is_left_out():
    (view,) = views(*of_texts(), MACHINE)
    assert view.axis == ("first_sentence", "first sentence of the batch")
    assert [title for title, _ in view.every_panel] == [""]
    assert view.sizes(view.last_rows.iloc[0]) == "Source 31, target 16 tokens, batch 8, sentences 17 to 24."
    for module in (totals, memory, flops):
        drawn = module.figure(view)
        scales = {axes.get_xscale() for axes in drawn.axes if axes.get_xlabel() == view.axis[1]}
        assert scales == {"linear"}, module.__name__
    assert totals.message(view).startswith("At the sentences from 17 on, ")


def test_batch_sizes_that_were_swept_have_a_panel_each_whatever_the_lengths_of_their_sources():
    table, steps = of_texts()
    half = table.assign(cell=table["cell"] + " of 4", batch_size=4)
    (view,) = views(pd.concat([table, half], ignore_index=True), steps, MACHINE)
    assert [title for title, _ in view.every_panel] == ["batch 4", "batch 8"], "the last batch of 3 is of neither size"


def test_sizes_whose_first_batch_failed_keep_their_panels():
    table, steps = of_texts()
    half = table.assign(cell=table["cell"] + " of 4", batch_size=4)
    every = pd.concat([table, half], ignore_index=True)
    for lost in (every["first_sentence"] == 1, (every["first_sentence"] == 1) & (every["batch_size"] == 8)):
        (view,) = views(every.assign(status=every["status"].mask(lost, "failed")), steps, MACHINE)
        assert [title for title, _ in view.every_panel] == ["batch 4", "batch 8"]


def test_a_step_is_drawn_of_one_batch_though_two_have_equal_sizes():
    table, steps = of_texts()
    steps.loc[steps["cell"] == "batch 2", "src_len"] = 40
    (view,) = views(table.assign(src_len=table["src_len"].replace(31, 40)), steps, MACHINE)
    assert [set(mine["cell"]) for _, mine in step_latency.longest(view)] == [{"batch 2"}]


def test_points_stay_apart_where_intervals_are_endless():
    table, steps = of_texts()
    endless = table["strategy"] != CORE[0]
    wide = table.assign(e2e_holm_low=1e-300, e2e_holm_high=1e300, e2e_ratio=1 - 0.4 * endless)
    (view,) = views(wide, steps, MACHINE)
    (axes,) = (one for one in totals.figure(view).axes if one.get_ylabel().startswith("speedup"))
    low, high = axes.get_ylim()
    assert 1 / 3 <= low < 1 < 1 / 0.6 < high <= 5


def test_the_ranking_follows_the_file():
    (ranking,) = rankings(completed(of_texts()[0]))
    told = [str(cell) for cell in ranking.columns[0].cells if "sentence" in str(cell)]
    assert told == [
        "batch 8, sentences 1 to 8, 31 -> 16",
        "batch 8, sentences 9 to 16, 40 -> 16",
        "batch 8, sentences 17 to 24, 31 -> 16",
        "batch 3, sentences 25 to 27, 22 -> 16",
    ]
