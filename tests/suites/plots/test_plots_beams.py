"""Plots of beam search: a sweep over the number of beams is drawn along it, and other searches are drawn apart."""

import numpy as np

from suites.plots.views import views

from .test_plots import CORE, MACHINE, MODULES, TIED, figure_of, tables


def test_a_sweep_over_beams_is_drawn_along_them():
    """In the figures of totals, speedup and memory; latencies have a panel for each number of beams."""
    for name in ("totals", "memory", "flops"):
        drawn = figure_of("beams", name)
        shown = [axes for axes in drawn.axes if axes.axison]
        assert {axes.get_xlabel() for axes in shown} == {"beams (per sentence)"}
        assert [label.get_text() for label in shown[0].get_xticklabels()] == ["1", "2", "4", "8"]
        assert "8 beams" in drawn.get_suptitle()
        assert "search=beam" in drawn.get_supxlabel()
    assert "With 8x the beams FLOPs grow: full_recompute 8x" in figure_of("beams", "flops").get_supxlabel()
    panels = [axes.get_title(loc="left") for axes in figure_of("beams", "step_latency").axes if axes.axison]
    assert panels == ["1 beam", "2 beams", "4 beams", "8 beams"]


def test_beams_beside_batches_have_a_panel_for_each_batch():
    shown = [axes for axes in figure_of("batches and beams", "totals").axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown[:2]] == ["batch 1", "batch 8"]
    message = figure_of("batches and beams", "totals").get_suptitle()
    assert message.startswith("At 4 beams, batch 8, static_kv is 2.7x faster")
    many = tables(batches=(1, 2, 8), beams=(1, 2, 4))
    (view,) = views(*many, MACHINE)
    assert "3 of 9 pairs of batch and beams are shown" in MODULES["step_latency"].figure(view).get_supxlabel()


def test_lengths_beside_beams_have_a_panel_for_each_number_of_beams():
    (view,) = views(*tables(TIED[:2], beams=(1, 4)), MACHINE)
    assert view.axis == ("tgt_len", "source = target length (tokens)")
    assert [title for title, _ in view.every_panel] == ["1 beam", "4 beams"]
    assert view.panel_kind == "numbers of beams"
    assert view.sizes(view.last_rows.iloc[0]) == "Source 32, target 32 tokens, batch 1, 4 beams."


def test_greedy_search_and_beam_search_are_drawn_apart():
    both = views(*tables(beams=(0, 1)), MACHINE)
    assert [(view.suffix, "search=beam" in view.foot) for view in both] == [("_greedy", False), ("_beam", True)]


def test_titles_and_feet_of_a_single_number_of_beams_name_it():
    (view,) = views(*tables(beams=(4,)), MACHINE)
    assert MODULES["totals"].figure(view).get_suptitle().startswith("At 64 tokens, 4 beams, static_kv is ")
    assert MODULES["memory"].figure(view).get_suptitle().startswith("Peak memory at 64 tokens, 4 beams: ")
    assert MODULES["step_latency"].figure(view).get_suptitle().startswith("With 4 beams, a step of ")
    assert view.foot.startswith("m, fp32, search=beam, 4 beams, on A CPU")
    (greedy,) = views(*tables(), MACHINE)
    assert "beam" not in greedy.foot + MODULES["totals"].figure(greedy).get_suptitle()


def with_cross(beams):
    """A run in which static_kv shares the K/V of cross-attention, and contiguous_kv has them for each beam."""
    table, steps = tables(beams=beams, strategies=CORE[2:])
    each = table["strategy"] == "contiguous_kv"
    return table.assign(kv_cross_bytes=2.0**20 * table["num_beams"].where(each, 1)), steps


def test_the_memory_of_a_sweep_shows_the_cross_attention_of_each_strategy():
    (view,) = views(*with_cross((1, 2, 8)), MACHINE)
    shown = MODULES["memory"].figure(view)
    (axes,) = (axes for axes in shown.axes if axes.axison)
    drawn = [(line.get_color(), tuple(line.get_ydata())) for line in axes.lines]
    assert (view.looks["static_kv"].color, (1.0, 1.0, 1.0)) in drawn
    assert (view.looks["contiguous_kv"].color, (1.0, 2.0, 8.0)) in drawn
    assert "K/V of cross-attention" in legend_of(shown)
    (greedy,) = views(*tables(beams=(0,)), MACHINE)
    assert "K/V of cross-attention" not in legend_of(MODULES["memory"].figure(greedy))


def test_the_memory_of_one_cell_tells_the_cross_attention():
    (view,) = views(*with_cross((8,)), MACHINE)
    (axes,) = (axes for axes in MODULES["memory"].figure(view).axes if axes.axison)
    texts = [text.get_text() for text in axes.texts]
    assert {text.rpartition(", ")[2] for text in texts} == {"cross 1", "cross 8"}


def legend_of(drawn):
    (legend,) = (axes.get_legend() for axes in drawn.axes if axes.get_legend())
    return [text.get_text() for text in legend.get_texts()]


def test_a_strategy_whose_options_change_nothing_with_one_beam_is_not_called_skipped_with_several():
    table, steps = tables(beams=(1, 2, 4))
    idle = (table["strategy"] == "static_kv") & (table["num_beams"] == 1)
    table.loc[idle, "status"] = "skipped"
    (view,) = views(table, steps, MACHINE)
    assert view.broken == {}
    assert view.name("static_kv") == "static_kv"
    table.loc[table["strategy"] == "static_kv", "status"] = "skipped"
    (view,) = views(table, steps, MACHINE)
    assert view.broken == {"static_kv": "skipped"}


def sides_of_names(places):
    """How the names of the trade-off are aligned to their points, by strategy, and the axes.

    ``places`` are memory in MiB and time in ms, in the order of ``CORE``.
    """
    table, steps = tables()
    mib, ms = np.array(places).T
    (view,) = views(table.assign(peak_memory_bytes=2**20 * mib, tpot_s=1e-3 * ms), steps, MACHINE)
    (axes,) = (axes for axes in MODULES["tradeoff"].figure(view).axes if axes.axison)
    return {text.get_text(): text.get_ha() for text in axes.texts}


def test_a_name_near_the_corner_of_the_trade_off_leaves_room_for_the_note_there():
    """There it stands on the right as soon as it fits; elsewhere a point that is as near has it moved to the left."""
    assert sides_of_names([(9, 5), (9, 4), (4, 1), (7, 1)])["contiguous_kv"] == "left"
    assert sides_of_names([(9, 5), (9, 2), (4, 3), (7, 3)])["contiguous_kv"] == "right"


def test_a_name_between_two_points_of_the_trade_off_stands_above_its_own():
    assert sides_of_names([(9, 5), (6, 3), (6.6, 3), (7.2, 3)])["contiguous_kv"] == "center"
