"""Plots of beam search: a sweep over the number of beams is drawn along it, and other searches are drawn apart."""

from suites.plots.view import views

from .test_plots import MACHINE, MODULES, TIED, figure_of, tables


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
