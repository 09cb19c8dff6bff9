"""The report in a real browser, its network off."""

import json
import re

import pytest
from axe_playwright_python.sync_playwright import Axe

from suites.reporting.run import write_report
from suites.reporting.two_runs import write_comparison

from ..suites.plots.test_plots import CORE, ODD, TIED
from ..suites.plots.test_roofline import scene
from ..suites.reporting.folders import FOLDERS, ten_thousand_rows, two_folders, write_run


def curves(page, chart):
    """Lines of a chart that are drawn."""
    return page.locator(f"#{chart} .plot svg .mark-line path[d]").evaluate_all(
        "paths => paths.filter(p => p.getAttribute('d').length > 3).length"
    )


def column(page, title):
    """Cells of the table shown, of the column of that title."""
    heads = page.locator(".dt-scroll-head thead tr:first-child th").all_inner_texts()
    place = [head.strip() for head in heads].index(title) + 1
    return page.locator(f"#numbers tbody tr:not(.dtrg-group) td:nth-child({place})").all_inner_texts()


@pytest.mark.parametrize("name", list(FOLDERS))
def test_the_page_opens_without_network_and_complains_of_nothing(opened, name):
    page = opened(name)
    assert page.locator("h1").count() == 1
    assert page.locator(".plot svg").count() == page.locator(".plot").count()


@pytest.mark.parametrize("chart", ["time", "throughput", "speedup", "steps"])
def test_each_plot_has_a_curve_for_each_strategy(opened, chart):
    page = opened("sweep")
    assert curves(page, chart) == len(CORE)


def test_one_legend_switches_a_strategy_off_and_on_again_in_every_plot(opened):
    page = opened("sweep")
    switch = page.locator(".legend").get_by_label("cross_kv", exact=True)
    for ticked, count in ((False, len(CORE) - 1), (True, len(CORE))):
        switch.set_checked(ticked)
        assert [curves(page, chart) for chart in ("time", "throughput", "speedup", "steps")] == [count] * 4


def test_the_legend_stays_in_sight(opened):
    page = opened("sweep")
    page.locator("#steps").scroll_into_view_if_needed()
    place = page.locator(".legend").bounding_box()
    assert 0 <= place["y"] < 120


def test_the_panel_shown_is_chosen(opened):
    page = opened("sweep")
    page.locator("#memory-panel select").select_option("K/V used")
    assert curves(page, "memory") == len(CORE) - 1  # full recompute keeps none


def test_every_place_of_a_plot_tells_the_values_of_all_strategies_and_their_intervals(opened):
    page = opened("sweep", viewport={"width": 1280, "height": 900})
    page.locator("#speedup .plot").scroll_into_view_if_needed()
    drawn = page.locator("#speedup .plot svg .background").first.bounding_box()
    for probe in range(160):
        page.mouse.move(
            drawn["x"] + drawn["width"] * (probe + 0.5) / 160, drawn["y"] + drawn["height"] * (probe % 9 + 0.5) / 9
        )
        told = page.locator("#speedup .tip").inner_text()
        assert all(name in told for name in CORE)
        assert told.count("[") == len(CORE)
    assert page.locator("#speedup .rule").is_visible()
    assert "source = target length (tokens): 128" in told


def test_the_arrow_keys_tell_the_values_too(opened):
    page = opened("sweep")
    page.locator("#time .plot").focus()
    page.keyboard.press("ArrowRight")
    first = page.locator("#time .tip").inner_text()
    page.keyboard.press("ArrowRight")
    assert page.locator("#time .tip").inner_text() != first
    page.keyboard.press("Escape")
    assert page.locator("#time .tip").is_hidden()


def test_the_table_is_grouped_by_case_and_sorts_within_it(opened):
    page = opened("sweep")
    groups = page.locator("#numbers tr.dtrg-group").all_inner_texts()
    assert [group.strip() for group in groups] == [f"batch 1, {source} -> {target}" for source, target in TIED[1:]]
    page.locator(".dt-scroll-head th", has_text="end to end (ms)").click()
    assert (
        page.locator("#numbers tbody tr.best td:first-child").all_inner_texts()
        == column(page, "strategy")[:: len(CORE)]
    )


def test_the_table_sorts_by_number_over_all_cases_if_it_is_not_grouped(opened):
    page = opened("sweep")
    page.get_by_label("group by case").uncheck()
    assert page.locator("#numbers tr.dtrg-group").count() == 0
    page.locator(".dt-scroll-head th", has_text="end to end (ms)").click()
    shown = [float(cell.replace(",", "")) for cell in column(page, "end to end (ms)")]
    assert shown == sorted(shown) or shown == sorted(shown, reverse=True)
    assert shown != sorted(shown, key=str) or len(shown) < 3


def test_the_first_column_stays_when_the_table_is_scrolled(opened):
    page = opened("sweep", viewport={"width": 600, "height": 900})
    cell = page.locator("#numbers tbody td:first-child").first
    before = cell.bounding_box()["x"]
    page.locator(".dt-scroll-body").evaluate("body => { body.scrollLeft = 300; }")
    assert cell.bounding_box()["x"] == pytest.approx(before, abs=2)


def test_what_is_looked_up_is_folded_and_a_link_opens_it(opened):
    page = opened("sweep")
    assert page.locator("#formulas ~ details").get_attribute("open") is None
    page.locator("nav a", has_text="Formulas").click()
    page.locator("#formulas ~ details[open]").wait_for()


def test_the_table_is_filtered(opened):
    page = opened("sweep")
    page.locator(".dt-search input").fill("static_kv")
    assert {cell.rstrip(" \u2605") for cell in column(page, "strategy")} == {"static_kv"}


def test_all_is_done_by_keyboard_alone(opened):
    page = opened("sweep")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    reached = set()
    for _ in range(190):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('fieldset, .dt-container, nav, details')?.className "
                                  "?? document.activeElement.tagName"))  # fmt: skip
    assert {"legend", "panel"} <= reached
    assert any("dt-container" in name for name in reached)
    page.locator(".legend input").first.focus()
    page.keyboard.press("Space")
    assert curves(page, "time") == len(CORE) - 1


def test_dark_mode_has_light_ink_on_dark_paper(opened):
    light, dark = (opened("sweep", color_scheme=scheme) for scheme in ("light", "dark"))
    script = "getComputedStyle(document.body).backgroundColor"
    text = "getComputedStyle(document.querySelector('.plot svg text')).fill"
    assert light.evaluate(script) != dark.evaluate(script)
    assert light.evaluate(text) != dark.evaluate(text)


def test_nothing_is_wider_than_a_narrow_screen(opened):
    page = opened("sweep", viewport={"width": 400, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") <= 400
    assert page.locator("#time .plot svg").bounding_box()["width"] <= 400


@pytest.mark.parametrize("name", ["sweep", "failed", "odd labels", "two devices"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_serious_fault_of_accessibility(opened, name, scheme):
    page = opened(name, color_scheme=scheme)
    found = Axe().run(page).response["violations"]
    serious = [fault for fault in found if fault["impact"] in ("serious", "critical")]
    assert not serious, json.dumps([(f["id"], [node["html"][:200] for node in f["nodes"]]) for f in serious], indent=1)


def test_a_label_is_text_and_not_a_script(opened):
    page = opened("odd labels")
    shown = []
    page.on("dialog", lambda dialog: shown.append(dialog.message))
    assert page.locator(".legend").get_by_label(ODD[2], exact=True).count() == 1
    page.locator(".dt-search input").fill("script")
    assert {cell.rstrip(" \u2605") for cell in column(page, "strategy")} == {ODD[2]}
    assert shown == []


def test_ten_thousand_rows_are_shown_and_filtered(opened, tmp_path):
    page = opened(write_report(write_run(tmp_path, *ten_thousand_rows())))
    assert "10,000" in page.locator(".dt-info").inner_text()
    page.locator(".dt-search input").fill("static_kv")
    assert "2,500" in page.locator(".dt-info").inner_text()


def test_two_runs_are_a_page_too(opened, tmp_path):
    first, second = two_folders(tmp_path)
    page = opened(write_comparison(first, second, tmp_path / "out", False)[0])
    assert page.locator("#change .plot svg .mark-symbol path").count() == (len(CORE) - 1) * 3
    page.locator(".dt-search input").fill("static_kv")
    assert {cell.rstrip(" \u2605") for cell in column(page, "strategy")} == {"static_kv"}


def test_long_names_of_bars_go_on_in_a_second_line_and_are_not_cut(opened, tmp_path):
    label = "static_kv(capacity=512,read=buffer)"
    page = opened(
        write_report(write_run(tmp_path / "run", *scene((*CORE, label)))), viewport={"width": 400, "height": 800}
    )
    lines = page.locator("#time .plot .role-axis-label tspan").all_text_contents()
    assert "".join(lines) == label
    assert len(lines) == 2


def test_what_is_folded_is_printed_and_no_sheet_is_missing_after_it(opened):
    page = opened("sweep")
    page.evaluate("document.querySelectorAll('details').forEach((part) => { part.open = false; })")
    titles = re.findall(rb"/Title \(([^)]*)\)", page.pdf(format="A4", outline=True, tagged=True))
    assert titles[-3:-1] == [b"Warnings", b"Environment"], "the first title comes once more at the end"
    assert b"Formulas" not in titles, "only a screen has a use for these"
    assert page.locator("details[open]").count() == 0
