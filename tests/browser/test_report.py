"""The report in a real browser, its network off."""

import json

import pytest
from axe_playwright_python.sync_playwright import Axe

from suites.reporting.run import write_report
from suites.reporting.two_runs import write_comparison

from ..suites.plots.test_plots import CORE, ODD
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
    return page.locator(f"#numbers tbody td:nth-child({place})").all_inner_texts()


@pytest.mark.parametrize("name", list(FOLDERS))
def test_the_page_opens_without_network_and_complains_of_nothing(opened, name):
    page = opened(name)
    assert page.locator("h1").count() == 1
    assert page.locator(".plot svg").count() == page.locator(".plot").count()


@pytest.mark.parametrize("chart", ["time", "throughput", "ratio", "steps"])
def test_each_plot_has_a_curve_for_each_strategy(opened, chart):
    page = opened("sweep")
    assert curves(page, chart) == len(CORE)


def test_a_strategy_is_switched_off_and_on_again(opened):
    page = opened("sweep")
    switch = page.locator("#time-shown").get_by_label("cross_kv", exact=True)
    switch.uncheck()
    assert curves(page, "time") == len(CORE) - 1
    switch.check()
    assert curves(page, "time") == len(CORE)


def test_the_panel_shown_is_chosen(opened):
    page = opened("sweep")
    page.locator("#memory-panel select").select_option("K/V used")
    assert curves(page, "memory") == len(CORE) - 1  # full recompute keeps none


def test_hovering_tells_the_values(opened):
    page = opened("sweep")
    page.locator("#time .plot svg .mark-symbol path").last.hover()
    tip = page.locator("#vg-tooltip-element.visible")
    tip.wait_for()
    assert "end to end (ms)" in tip.inner_text()


def test_the_table_sorts_by_number(opened):
    page = opened("sweep")
    page.locator(".dt-scroll-head th", has_text="end to end (ms)").click()
    shown = [float(cell.replace(",", "")) for cell in column(page, "end to end (ms)")]
    assert shown == sorted(shown) or shown == sorted(shown, reverse=True)
    assert shown != sorted(shown, key=str) or len(shown) < 3


def test_the_table_is_filtered(opened):
    page = opened("sweep")
    page.locator(".dt-search input").fill("static_kv")
    assert set(column(page, "strategy")) == {"static_kv"}


def test_all_is_done_by_keyboard_alone(opened):
    page = opened("sweep")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.textContent") == "To the content"
    reached = set()
    for _ in range(150):
        page.keyboard.press("Tab")
        reached.add(page.evaluate("document.activeElement.closest('fieldset, .dt-container, nav, details')?.className "
                                  "?? document.activeElement.tagName"))  # fmt: skip
    assert {"switches", "panel"} <= reached
    assert any("dt-container" in name for name in reached)
    page.locator("#time-shown input").first.focus()
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
    assert page.locator("#time-shown").get_by_label(ODD[2], exact=True).count() == 1
    page.locator(".dt-search input").fill("script")
    assert set(column(page, "strategy")) == {ODD[2]}
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
    assert set(column(page, "strategy")) == {"static_kv"}
