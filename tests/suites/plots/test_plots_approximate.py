"""Plots of runs in which approximate strategies stand beside exact ones: these are named so, and not ranked."""

import pytest

from suites.plots.views import views
from suites.reporting.charts import speedup, step_parts, totals

from .test_plots import CORE, MACHINE, MODULES, TIED, tables
from .test_roofline import scene

LOSSY = "sliding_kv(window=64)"


def beside(table, steps, lossy="static_kv"):
    """The tables with ``lossy`` turned into an approximate strategy that is better than all others in every figure."""
    mine = table["strategy"] == lossy
    table = table.assign(
        exact=[name != lossy for name in table["strategy"]],
        strategy=table["strategy"].mask(mine, LOSSY),
        best_strategy="contiguous_kv",
        best_ratio=table["e2e_ratio"],
        best_ratio_low=0.9 * table["e2e_ratio"],
        best_ratio_high=1.1 * table["e2e_ratio"],
        best_verdict="slower",
    )
    for column in ("e2e_s", "e2e_ratio", "tpot_s", "peak_memory_bytes", "kv_reserved_bytes", "flops_waste"):
        table[column] = table[column].mask(mine, table[column] / 1000)
    table["throughput_tokens_per_s"] = table["throughput_tokens_per_s"].mask(mine, 1e9)
    steps = steps.assign(
        strategy=steps["strategy"].mask(steps["strategy"] == lossy, LOSSY),
        latency_s=steps["latency_s"].mask(steps["strategy"] == lossy, steps["latency_s"] * steps["k"]),
    )
    return table, steps


def view_of(table, steps):
    (view,) = views(table, steps, MACHINE)
    return view


SWEPT = {"single": tables(), "lengths": tables(TIED), "grid": tables(TIED[:2], (1, 4)), "roofline": scene()}


@pytest.mark.parametrize("name", SWEPT)
def test_no_message_names_an_approximate_strategy_beside_exact_ones(name):
    view = view_of(*beside(*SWEPT[name]))
    drawn = {kind: module.figure(view) for kind, module in MODULES.items() if kind != "approximate"}
    titles = {kind: figure.get_suptitle() for kind, figure in drawn.items() if figure is not None}
    assert len(titles) >= 5
    assert not [title for title in titles.values() if LOSSY in title]
    charts = [chart for module in (totals, speedup, step_parts) for chart in module.charts(view)]
    assert charts
    assert not [chart.message for chart in charts if LOSSY in chart.message]


def test_legends_and_text_alternatives_say_that_a_strategy_is_approximate():
    view = view_of(*beside(*tables(TIED)))
    assert view.name(LOSSY) == f"{LOSSY} (approximate)"
    assert view.name("cross_kv") == "cross_kv"
    assert (f"{LOSSY} (approximate)", view.looks[LOSSY].line()) in view.legend().entries
    assert all(f"{LOSSY} (approximate)" in chart.alt for chart in totals.charts(view))


def test_a_remark_on_failed_cases_stands_beside_it():
    table, steps = beside(*tables(TIED[:2]))
    table.loc[(table["strategy"] == LOSSY) & (table["tgt_len"] == 16), "status"] = "failed"
    assert view_of(table, steps).name(LOSSY) == f"{LOSSY} (approximate, some failed)"


def test_approximate_strategies_alone_are_ranked_and_named_so():
    table, steps = tables(TIED[:2])
    view = view_of(table.assign(exact=False), steps)
    title = MODULES["totals"].figure(view).get_suptitle()
    assert title.startswith("At 32 tokens, static_kv (approximate) is 2.7x faster than full_recompute (approximate)")


def test_the_trade_off_joins_exact_strategies_alone_and_says_so():
    view = view_of(*beside(*tables()))
    drawn = MODULES["tradeoff"].figure(view)
    assert "Line: no exact strategy is both faster and smaller." in drawn.get_supxlabel()
    (axes,) = (axes for axes in drawn.axes if axes.axison)
    exact = view.table[view.table["strategy"] != LOSSY]
    assert min(axes.lines[0].get_xdata()) == exact["peak_memory_bytes"].min() / 2**20
    assert drawn.get_suptitle().endswith("the least of the exact strategies")
    plain = MODULES["tradeoff"].figure(view_of(*tables()))
    assert "Line: nothing is both faster and smaller." in plain.get_supxlabel()


def test_the_map_of_winners_has_no_square_of_an_approximate_strategy():
    table, steps = beside(*tables(TIED[:2], (1, 4)))
    drawn = MODULES["winners"].figure(view_of(table, steps))
    assert drawn.get_suptitle().startswith("contiguous_kv is the quickest exact strategy in 4 of 4 cells")
    assert "Each square: the quickest exact strategy" in drawn.get_supxlabel()
    (axes,) = (axes for axes in drawn.axes if axes.axison)
    assert len(axes.texts) == 4
    assert not any("sliding_kv" in text.get_text() for text in axes.texts)


def test_the_error_of_beams_is_that_of_exact_strategies():
    table, steps = beside(*tables(beams=(1, 4)), lossy=CORE[0])
    own = table["strategy"] == LOSSY
    table["phoneme_error"] = (0.1 / table["num_beams"]).mask(own, 0.5)
    view = view_of(table, steps)
    drawn = MODULES["quality"].figure(view)
    assert drawn.get_suptitle().startswith("4 beams lower the phoneme error from 10 % to 2.5 %")
    assert "Every exact strategy finds the same words" in drawn.get_supxlabel()
    heights = {round(y, 6) for axes in drawn.axes if axes.axison for line in axes.lines for y in line.get_ydata()}
    assert heights == {2.5, 10.0, 50.0}
