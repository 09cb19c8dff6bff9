"""Charts of the page: what their data says of disturbed cells, of rounds, of amounts and of a step's parts."""

import re
from dataclasses import replace

import pytest

from suites.ceilings.step_parts import step_s
from suites.plots.roles import scale_of, totals_of
from suites.plots.views import views
from suites.reporting.charts import flops, memory, roles, speedup, step_parts, steps, totals
from suites.tables.columns import completed

from ..plots.test_plots import CORE, TIED, tables
from ..plots.test_plots_rounds import QUIET, timed
from ..plots.test_roofline import scene
from .folders import roles_of


def view_of(table, steps, rounds=()):
    (view,) = views(completed(table), steps, {"cpu": "A CPU"}, roles_of(table))
    return replace(view, timed=rounds)


def rows_of(chart):
    return chart.spec["datasets"]["rows"]


@pytest.mark.parametrize("module", [totals, speedup])
def test_points_of_a_disturbed_cell_are_hollow_and_the_foot_says_why(module):
    table, every = tables(TIED)
    table["disturbed_by"] = ["drifting memory" if length == 64 else "" for length in table["tgt_len"]]
    for chart in module.charts(view_of(table, every)):
        assert {row["x"] for row in rows_of(chart) if row["hollow"]} == {64}
        assert "Hollow marks: drifting memory may have spoiled these times." in chart.foot
    for chart in module.charts(view_of(table.assign(disturbed_by=""), every)):
        assert not any(row["hollow"] for row in rows_of(chart))
        assert "Hollow" not in chart.foot


def test_bars_have_whiskers_from_the_quickest_to_the_slowest_round():
    rounds = [*QUIET, timed("static_kv", 7, slow=3.0)]
    (chart,) = totals.charts(view_of(*tables(), rounds))
    found = {row["label"]: (row["low"], row["high"]) for row in rows_of(chart)}
    assert found["static_kv"] == pytest.approx((310, 710))
    assert found["cross_kv"] == pytest.approx((310, 310))
    assert "Whiskers: all rounds." in chart.foot
    (bare,) = totals.charts(view_of(*tables()))
    assert {row["high"] for row in rows_of(bare)} == {None}
    assert "Whiskers" not in bare.foot


def test_roles_are_amounts_first_and_their_bars_add_up_to_the_totals():
    view = view_of(*scene())
    (chart,) = roles.charts(view)
    (panel,) = (param for param in chart.spec["params"] if param["name"] == "panel")
    assert panel["value"] == "FLOPs, in MFLOPs"
    assert panel["bind"]["options"] == [
        "FLOPs, in MFLOPs", "bytes, in MiB",
        "FLOPs: share of each strategy's own total (%)", "bytes: share of each strategy's own total (%)",
    ]  # fmt: skip
    sums = {}
    for row in rows_of(chart):
        sums[row["panel"], row["label"]] = sums.get((row["panel"], row["label"]), 0) + row["x"]
    found = totals_of(roles.longest(view))
    for (name, unit), title in zip((("flops", "FLOPs"), ("bytes", "B")), panel["bind"]["options"], strict=False):
        scale, _ = scale_of(found[name], unit)
        for strategy, total in found[name].sum(axis=1).items():
            assert sums[title, strategy] == pytest.approx(total / scale, rel=1e-5)
    assert {round(x, 3) for (title, _), x in sums.items() if "share" in title} == {100.0}


def test_the_parts_of_a_step_add_up_to_it_and_the_floor_is_marked_once():
    view = view_of(*scene())
    (chart,) = step_parts.charts(view)
    for row in view.table.to_dict("records"):
        mine = [one for one in rows_of(chart) if one["label"] == row["strategy"]]
        assert sum(one["x"] for one in mine) == pytest.approx(1e3 * step_s(row), rel=1e-4)
        assert [one["floor"] for one in mine if one["floor"] is not None] == [pytest.approx(1e3 * row["floor_s"])]
    assert step_parts.charts(view_of(*scene(lengths=TIED))) == []
    table, every = tables()
    assert step_parts.charts(view_of(table.assign(floor_fraction=float("nan")), every)) == []
    table.loc[table["strategy"] == "static_kv", ["e2e_ratio", "executed_flops"]] = [0.01, float("nan")]
    (chart,) = step_parts.charts(view_of(table, every))
    assert chart.message.startswith("contiguous_kv: "), "a contender is quicker, but not of ours"


def test_the_reader_chooses_the_batch_of_memory_and_of_steps():
    view = view_of(*tables(TIED[:2], (1, 4, 16)))
    for chart, count in ((memory.charts(view)[0], 9), (steps.charts(view)[0], 3)):
        (panel,) = (param for param in chart.spec["params"] if param["name"] == "panel")
        assert len(panel["bind"]["options"]) == count
        assert panel["bind"]["options"][-1].endswith("batch 16")
        assert len({row["panel"] for row in rows_of(chart)}) == count
    assert {row["label"] for row in rows_of(memory.charts(view)[0])} == set(CORE)


@pytest.mark.parametrize("module", [totals, speedup, memory, flops])
def test_a_sweep_over_beams_is_charted_along_them(module):
    for chart in module.charts(view_of(*tables(beams=(1, 2, 4)))):
        assert {row["x"] for row in rows_of(chart)} == {1, 2, 4}
        assert chart.hover[0] == "beams (per sentence)"
        assert re.search(r"\b(1 beam|4 beams)\b", chart.message)


def test_the_reader_chooses_the_number_of_beams_of_steps():
    (chart,) = steps.charts(view_of(*tables(beams=(1, 2, 4))))
    (panel,) = (param for param in chart.spec["params"] if param["name"] == "panel")
    assert panel["bind"]["options"] == ["1 beam", "2 beams", "4 beams"]


def test_the_words_of_a_single_case_are_the_ends_of_its_curves():
    table, every = tables()
    (chart,) = flops.charts(view_of(table, every))
    mine = every[every["strategy"] == "full_recompute"]["flops"]
    assert (mine.iloc[0], mine.iloc[-1]) == (1e6, 64e6)
    assert "full_recompute 1.00 MFLOPs to 64.0 MFLOPs" in chart.alt


@pytest.mark.parametrize("count", [12, 13])
def test_up_to_twelve_batches_are_offered_and_the_foot_counts_them_where_there_are_more(count):
    view = view_of(*tables(TIED[:2], range(1, count + 1), CORE[:2]))
    for chart in (module.charts(view)[0] for module in (memory, steps, totals, flops)):
        offered = {row["panel"].rpartition("batch ")[2] for row in rows_of(chart)}
        assert len(offered) == 12
        assert ("12 of 13 batches are shown." in chart.foot) == (count == 13)


def told_of(table, every):
    (chart,) = speedup.charts(view_of(table, every))
    return chart.message


def test_the_speedup_is_told_once_for_each_end_of_the_last_panel_and_if_it_is_not_certain():
    table, every = tables(TIED[:2])
    told = "Speedup of contiguous_kv over full_recompute: 2.7x [2.5, 3.3] at 16 tokens, 2.7x [2.5, 3.3]"
    table.loc[table["strategy"] == "contiguous_kv", "e2e_ratio"] = 0.369
    assert told_of(table, every) == f"{told} at 32 tokens"
    open_ = table.assign(e2e_verdict=table["e2e_verdict"].where(table["tgt_len"] == 16, "undecided"))
    assert told_of(open_, every) == f"{told} (not certain) at 32 tokens"
    close = open_.assign(e2e_holm_low=0.3, e2e_holm_high=0.4)
    assert told_of(close, every) == f"{told} (too close to call) at 32 tokens"
    (grid, steps_of_grid) = tables(TIED[:2], (1, 4))
    alone = grid[(grid["batch_size"] == 1) | (grid["tgt_len"] == 16)]
    assert told_of(alone, steps_of_grid) == (
        "Speedup of contiguous_kv over full_recompute: 2.7x [2.5, 3.3] at 16 tokens, batch 4"
    )


def test_the_speedup_told_is_that_of_no_contender_and_names_a_baseline_that_all_cells_share():
    table, every = tables(TIED[:2])
    contender = table["strategy"] == "contiguous_kv"
    table.loc[contender, ["e2e_ratio", "executed_flops"]] = [0.1, float("nan")]
    assert told_of(table, every).startswith("Speedup of static_kv over full_recompute: ")
    (chart,) = speedup.charts(view_of(table, every))
    assert chart.hover[1] == "speedup over full_recompute (x)"
    table.loc[table["tgt_len"] == 16, "baseline"] = "cross_kv"
    (chart,) = speedup.charts(view_of(table, every))
    assert chart.hover[1] == "speedup over the baseline (x)"
    slower = table.assign(e2e_ratio=1.2, e2e_ratio_low=1.1, e2e_ratio_high=1.3, e2e_verdict="slower")
    assert told_of(slower, every).startswith("At 32 tokens, static_kv is 1.2x slower than full_recompute")


def test_the_mark_of_the_floor_stands_at_the_end_of_the_bound_where_bytes_and_flops_bound_different_steps():
    table, every = scene()
    table["dispatch_s"], table["floor_s"] = 1e-4, 1e-3
    table["floor_fraction"] = 1.2 * table[["mbu", "mfu"]].max(axis=1)
    (chart,) = step_parts.charts(view_of(table, every))
    bounds = [row for row in rows_of(chart) if row["floor"] is not None]
    assert [row["x"] for row in bounds] == pytest.approx([row["floor"] for row in bounds])
    assert {row["label"]: row["part"] for row in bounds} == {
        "full_recompute": "arithmetic", "cross_kv": "arithmetic", "contiguous_kv": "reading bytes",
        "static_kv": "reading bytes",
    }  # fmt: skip


def test_bands_of_what_is_hardly_known_run_out_of_the_axis():
    table, every = tables(TIED[:2])
    table["e2e_ratio_low"] = 1e-6
    (chart,) = speedup.charts(view_of(table, every))
    points = [row["y"] for row in rows_of(chart)]
    for layer in chart.spec["layer"]:
        assert layer["encoding"]["y"]["scale"]["domainMax"] == pytest.approx(2.5 * max(points), rel=1e-5)
    assert chart.spec["layer"][0]["mark"]["clip"]


def marks(spec):
    return [(layer["mark"], set(layer["encoding"])) for layer in spec["layer"]]


def test_whiskers_and_floors_have_an_edge_that_sets_them_off_from_bars_and_paper_of_any_colour():
    (bars,) = totals.charts(view_of(*tables(), [*QUIET, timed("static_kv", 7, slow=3.0)]))
    edge, whisker = (mark for mark, channels in marks(bars.spec) if mark["type"] == "rule" and "x2" in channels)
    assert edge["color"] == "#ffffff"
    assert edge["strokeWidth"] > whisker["strokeWidth"]
    (parts,) = step_parts.charts(view_of(*scene()))
    (floor,) = (mark for mark, _ in marks(parts.spec) if mark["type"] == "tick")
    colors = {layer["mark"]["color"] for layer in parts.spec["layer"] if "color" in layer["mark"]}
    assert floor["stroke"] == "#ffffff"
    assert not {"#000000", "#ffffff"} & colors  # ink of the page, which is light in dark mode, or the edge itself
    assert " Marks: floor" in parts.foot


def test_batches_of_ten_seconds_and_more_are_in_seconds():
    table, steps = tables()
    for longest_s, title, least in ((9.0, "end to end (ms)", 9000.0), (12.0, "end to end (s)", 12.0)):
        (bars,) = totals.charts(view_of(table.assign(e2e_s=longest_s), steps))
        (data,) = bars.spec["datasets"].values()
        assert {row["x"] for row in data} == {least}
        assert title in str(bars.spec)


def test_text_alternatives_have_the_units_that_people_write():
    view = view_of(*tables(TIED[:2]))
    (chart,) = flops.charts(view)
    assert "static_kv 32.0 MFLOPs to 64.0 MFLOPs" in chart.alt
    (chart,) = speedup.charts(view)
    assert "static_kv 2.7x to 2.7x" in chart.alt
