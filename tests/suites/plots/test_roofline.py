"""The roofline: its plot from tables alone, and the verb that measures the ceilings without a model."""

import math

import pytest
from matplotlib import rc_context

from suites.ceilings.columns import CEILINGS
from suites.ceilings.floor import Spread
from suites.ceilings.sentences import share
from suites.plots import draw, roofline
from suites.plots.style import RC
from suites.plots.views import views
from suites.tables.table_files import read_tables

from ...command import ROOT
from .test_plots import CORE, tables

PEAK, READ = 80.0, 16.0
FIGURES = {
    "full_recompute": {"mfu": 0.25, "mbu": 0.1, "floor_fraction": 0.25},
    "cross_kv": {"mfu": 0.2, "mbu": 0.1, "floor_fraction": 0.2},
    "contiguous_kv": {"mfu": 0.03, "mbu": 0.3, "floor_fraction": 0.3},
    "static_kv": {"mfu": 0.04, "mbu": 0.4, "floor_fraction": 0.4},
}


def scene(strategies=CORE, cache_resident=0.0, lengths=((64, 64),), **more):
    """(table, steps) with ceilings, as of a machine of 16 GB/s and 80 GFLOP/s."""
    table, steps = tables(lengths, strategies=strategies, **more)
    roof = [READ, READ / 2, READ * 1.25, 12.0, PEAK, PEAK / 2, PEAK * 1.1, 32 << 20]
    for name, value in zip(CEILINGS, roof, strict=True):
        table[name] = value
    table["prefill_mfu"], table["prefill_mbu"], table["cache_resident"] = 0.5, 0.05, cache_resident
    for strategy, figures in FIGURES.items():
        table.loc[table["strategy"] == strategy, list(figures)] = list(figures.values())
    return table, steps


def drawn(table, steps):
    """The figures of a table, one a view."""
    return [figure for view in views(table, steps, {"cpu": "A CPU"}) if (figure := roofline.figure(view)) is not None]


def points(figure):
    """Strategy's colour and whether it is full -> place, of each point."""
    (axes,) = (axes for axes in figure.axes if axes.axison)
    lines = [line for line in axes.get_lines() if line.get_marker() not in ("", "None")]
    return {(line.get_color(), line.get_markerfacecolor() != "none"): line.get_xydata()[0] for line in lines}


def legend(figure):
    (shown,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
    return [text.get_text() for text in shown.get_texts()]


def test_each_strategy_is_a_point_at_prefill_and_at_decode_where_its_figures_say():
    table, steps = scene()
    (view,) = views(table, steps, {})
    found = points(roofline.figure(view))
    assert len(found) == 2 * len(CORE)
    for strategy, look in view.looks.items():
        mfu, mbu = FIGURES[strategy]["mfu"], FIGURES[strategy]["mbu"]
        assert found[look.color, True] == pytest.approx([mfu * PEAK / (mbu * READ), mfu * PEAK])
        assert found[look.color, False] == pytest.approx([0.5 * PEAK / (0.05 * READ), 0.5 * PEAK])


def test_points_lie_under_the_roof_by_the_share_that_is_reported():
    (figure,) = drawn(*scene())
    table = scene()[0].set_index("strategy")
    (view,) = views(*scene(), {})
    for strategy, look in view.looks.items():
        x, y = points(figure)[look.color, True]
        assert y / min(x * READ, PEAK) == pytest.approx(table.loc[strategy, "floor_fraction"])


def test_the_foot_says_what_percentages_are_where_they_are_not_those_of_the_drops():
    table, steps = scene()
    (figure,) = drawn(table, steps)
    assert "Percentages" not in figure.get_supxlabel()
    (figure,) = drawn(table.assign(floor_fraction=1.2 * table["floor_fraction"]), steps)
    told = " ".join(figure.get_supxlabel().split())
    assert "Percentages: of the floor, whose bound changes from step to step" in told


def test_the_message_says_who_comes_nearest_and_what_the_limit_is():
    (figure,) = drawn(*scene())
    assert figure.get_suptitle() == (
        "At 64 tokens, static_kv decodes at 40 % of its limit (bytes), cross_kv at 20 % (FLOPs)"
    )


@pytest.mark.parametrize("strategies", [CORE[:1], ("static_kv(capacity=512,read=buffer)",)])
def test_one_row_is_drawn(strategies):
    table, steps = scene(strategies)
    table["floor_fraction"] = 0.5
    (figure,) = drawn(table, steps)
    assert figure.get_suptitle().startswith(f"At 64 tokens, {strategies[0]} decodes at 50 % of its limit (")
    assert legend(figure) == [strategies[0], "prefill", "decode"]


def test_without_a_measured_row_or_without_ceilings_there_is_no_roofline(tmp_path):
    table, steps = scene()
    assert drawn(table.assign(status="failed"), steps[:0]) == []
    assert drawn(*tables()) == []
    assert drawn(table.assign(floor_fraction=math.nan), steps) == []
    assert draw(tmp_path, table.assign(status="failed"), steps[:0]) == []


def test_what_has_no_flops_is_left_out_and_what_failed_is_named():
    table, steps = scene((*CORE, "a_contender"), lost=[("cross_kv", None, "failed")])
    empty = ["mfu", "mbu", "prefill_mfu", "prefill_mbu", "floor_s", "floor_fraction", "cache_resident"]
    table.loc[table["strategy"].isin(["a_contender", "cross_kv"]), empty] = math.nan
    (figure,) = drawn(table, steps)
    assert legend(figure) == ["full_recompute", "contiguous_kv", "static_kv", "cross_kv: failed", "prefill", "decode"]
    assert len(points(figure)) == 6


def test_contenders_are_placed_by_what_any_must_compute_and_the_foot_says_so():
    table, steps = scene((*CORE, "a_contender"))
    mine = table["strategy"] == "a_contender"
    table.loc[mine, ["mfu", "mbu", "floor_fraction"]] = [0.02, 0.6, 0.6]
    table.loc[mine, "executed_flops"] = math.nan
    (figure,) = drawn(table, steps)
    assert "a_contender: by the necessary FLOPs and bytes." in figure.get_supxlabel()
    assert "a_contender decodes at 60 % of its limit (bytes)" in figure.get_suptitle()
    assert "necessary" not in drawn(*scene())[0].get_supxlabel()


def test_a_prefill_that_was_not_known_leaves_its_decoding():
    table, steps = scene()
    (figure,) = drawn(table.assign(prefill_mbu=math.nan, prefill_mfu=math.nan), steps)
    assert len(points(figure)) == len(CORE)


def test_cases_whose_bytes_are_cached_are_labelled_and_the_others_are_not():
    (figure,) = drawn(*scene(cache_resident=1.0))
    assert "Cached: all; what a step reads fits in the last cache" in figure.get_supxlabel()
    assert "static_kv decodes at 40 % of its limit (bytes, cached), cross_kv at 20 % (FLOPs)" in figure.get_suptitle()
    table, steps = scene()
    table.loc[table["strategy"] == "static_kv", "cache_resident"] = 0.5
    (figure,) = drawn(table, steps)
    assert "Cached: static_kv; " in figure.get_supxlabel()
    assert "Cached" not in drawn(*scene())[0].get_supxlabel()


def test_a_sweep_is_drawn_at_its_last_case():
    (figure,) = drawn(*scene(lengths=((16, 16), (64, 64)), batches=(1, 4)))
    assert figure.get_suptitle().startswith("At 64 tokens, batch 4, ")
    assert "Source 64, target 64 tokens, batch 4." in figure.get_supxlabel()
    assert len(points(figure)) == 2 * len(CORE)


def boxes(figure):
    with rc_context(RC):
        figure.draw_without_rendering()
    (axes,) = (axes for axes in figure.axes if axes.axison)
    return axes, [text.get_window_extent() for text in axes.texts]


@pytest.mark.parametrize("rates", [(80.0, 3.5, 2.9), (80.0, 80.0, 80.0), (80.0, 75.0, 70.0), (50.0, 400.0, 800.0)])
def test_labels_lie_inside_and_over_none_of_one_another(rates):
    gemms = {name: Spread(r, 0.8 * r, 1.2 * r) for name, r in zip(("fp32", "bf16", "fp16"), rates, strict=True)}
    axes, found = boxes(roofline.ceilings_figure(Spread(16.0, 8.0, 20.0), gemms, "title", "foot"))
    frame = axes.get_window_extent()
    assert len(found) == 4
    assert not any(a.overlaps(b) for i, a in enumerate(found) for b in found[i + 1 :])
    assert all(frame.x0 <= box.x0 and box.x1 <= frame.x1 + 1 and frame.y0 <= box.y0 for box in found)


def test_labels_lie_over_no_point():
    (figure,) = drawn(*scene())
    axes, found = boxes(figure)
    assert len(found) == 2 + len(CORE)
    for x, y in axes.transData.transform(list(points(figure).values())):
        assert not any(box.expanded(1.05, 1.3).contains(x, y) for box in found)


def test_equal_tables_give_equal_files(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.plots.FIGURES", (roofline,))
    for name in ("a", "b"):
        assert [path.name for path in draw(tmp_path / name, *scene())] == ["roofline.png"]
    for kind in ("png", "svg"):
        assert len({(tmp_path / name / "plots" / f"roofline.{kind}").read_bytes() for name in ("a", "b")}) == 1


def test_the_reference_run_of_an_earlier_version_is_read_and_drawn_without_a_roofline(tmp_path):
    table, steps = read_tables(ROOT / "results/reference/cpu")
    if set(CEILINGS) <= set(table):
        pytest.skip("the reference run has been made again with ceilings")
    assert "roofline" not in [path.stem for path in draw(tmp_path, table, steps)]


def test_bytes_that_a_cache_serves_are_named_so():
    assert share({"floor_fraction": 1.3, "mbu": 1.3, "mfu": 0.1, "cache_resident": 0.2}) == "130 % (bytes, cached)"
