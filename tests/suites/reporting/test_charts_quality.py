"""The charts of quality: their marks, choices, captions and words."""

import pytest

from suites.plots.costs import costs, message
from suites.plots.views import views
from suites.reporting.charts import beams, loss, quality

from ..plots.lossy import ERROR, LOSSY, Q4, Q8, SHARE, SLIDING, TIME, lossy
from ..plots.test_plots import CORE, MACHINE, SCENES, TIED, tables
from ..plots.test_quality import ERRORS


def view_of(table, steps):
    (view,) = views(table, steps, MACHINE)
    return view


def rows_of(chart):
    return chart.spec["datasets"]["rows"]


def layers_with(chart, mark):
    return [layer for layer in chart.spec["layer"] if layer["mark"]["type"] == mark]


def test_the_reader_chooses_time_or_memory_and_each_strategy_has_a_mark_in_both():
    (chart,) = quality.charts(view_of(*lossy()))
    (panel,) = (param for param in chart.spec["params"] if param["name"] == "panel")
    time, held = panel["bind"]["options"]
    assert (time, held) == ("time (static_kv = 1)", "K/V reserved per sentence (MiB)")
    assert panel["value"] == time
    found = {(row["panel"], row["label"]): (row["x"], row["y"]) for row in rows_of(chart)}
    for name in LOSSY:
        label = f"{name} (approximate)"
        assert found[time, label] == (TIME[name][0], pytest.approx(100 * ERROR[name]))
        assert found[held, label] == (pytest.approx(SHARE[name]), pytest.approx(100 * ERROR[name]))
    assert found[held, "static_kv"] == (1, pytest.approx(8.98))
    assert {row["caption"] for row in rows_of(chart)} == {"full_recompute", "static_kv", *LOSSY}


def test_an_exact_strategy_that_takes_far_longer_is_told_and_not_drawn_against_time():
    (chart,) = quality.charts(view_of(*lossy()))
    against_time = {row["label"] for row in rows_of(chart) if row["panel"].startswith("time")}
    assert "full_recompute" not in against_time
    assert "Beyond the axis of time: full_recompute at 8." in chart.foot
    table, steps = lossy()
    near = table.assign(best_ratio=table["best_ratio"].clip(upper=2.5))
    (chart,) = quality.charts(view_of(near, steps))
    assert "full_recompute" in {row["label"] for row in rows_of(chart) if row["panel"].startswith("time")}
    assert "Beyond" not in chart.foot


def test_its_words_are_those_of_the_plot_and_the_figures_of_each_strategy():
    view = view_of(*lossy())
    (chart,) = quality.charts(view)
    assert chart.message == message(view, costs(view))
    told = f"{SLIDING} (approximate): 31 % phoneme error, time 0.80 times that of static_kv, 635 KiB of K/V a sentence"
    assert told in chart.alt


def test_whiskers_belong_to_time_alone_and_a_dashed_line_is_at_the_exact_quality():
    (chart,) = quality.charts(view_of(*lossy()))
    whiskers = {row["panel"].split()[0]: row["low"] for row in rows_of(chart) if row["label"].startswith(SLIDING)}
    assert whiskers == {"time": pytest.approx(0.72), "K/V": None}
    (line,) = (layer for layer in layers_with(chart, "rule") if "strokeDash" in layer["mark"])
    values = line["data"].get("values") or chart.spec["datasets"][line["data"]["name"]]
    assert values == [{"y": pytest.approx(8.98)}]


def test_marks_of_a_disturbed_cell_are_hollow():
    table, steps = lossy()
    (chart,) = quality.charts(view_of(table.assign(disturbed_by="other load"), steps))
    assert all(row["hollow"] for row in rows_of(chart))
    assert "Hollow marks: other load" in chart.foot


def test_the_loss_along_the_length_has_a_curve_for_each_approximate_strategy_and_one_for_the_exact():
    (chart,) = loss.charts(view_of(*lossy(TIED)))
    assert {row["label"] for row in rows_of(chart)} == {
        *(f"{name} (approximate)" for name in LOSSY),
        "exact strategies",
    }
    assert chart.message.startswith(f"More than 0.5 points of phoneme error are first lost by {SLIDING} at 16 tokens")
    ends = [row["y"] for row in rows_of(chart) if row["label"].startswith(Q4)]
    assert ends[-1] == pytest.approx(9.12)


def test_a_loss_of_zero_is_drawn():
    (chart,) = loss.charts(view_of(*lossy(TIED, measure="token_error")))
    assert [row["y"] for row in rows_of(chart) if row["label"].startswith(Q8)] == [0] * len(TIED)


def test_beams_are_numbered_for_the_quickest_strategy_and_joined():
    table, steps = tables(beams=tuple(ERRORS))
    (chart,) = beams.charts(view_of(table.assign(phoneme_error=table["num_beams"].map(ERRORS)), steps))
    assert chart.message.startswith("4 beams lower the phoneme error from 10 % to 8 %")
    numbered = {row["label"] for row in rows_of(chart) if row["caption"]}
    assert len(numbered) == 1
    assert [row["caption"] for row in rows_of(chart) if row["label"] in numbered] == ["1", "2", "4", "8"]
    assert len(rows_of(chart)) == len(ERRORS) * len(CORE)
    assert len(layers_with(chart, "line")) == 1


@pytest.mark.parametrize("scene", ["single", "grid", "beams"])
def test_without_anything_judged_there_is_no_chart(scene):
    for view in views(*SCENES[scene], MACHINE):
        assert [*quality.charts(view), *loss.charts(view), *beams.charts(view)] == []
