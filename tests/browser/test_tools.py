"""The slider over a decoder layer and the memory calculator, in a real browser: they compute what Python computes."""

import pytest
from axe_playwright_python.sync_playwright import Axe

from strategies import ModelSpec, config_of, parse
from suites.reporting.run import write_report
from suites.reporting.standalone import write_tools
from suites.settings.cells import Cell
from suites.work.capacity import predicted_peak_bytes
from suites.work.peak_letters import peak_formula

from ..suites.plots.test_plots import CORE, tables
from ..suites.reporting.folders import write_run

SHAPE = {
    "architecture": "t5", "d_ff": 2048, "d_kv": 64, "d_model": 512, "decoder_layers": 6, "encoder_layers": 6,
    "num_heads": 8, "vocab_size": 32128,
}  # fmt: skip
MODEL = ModelSpec("t5-small", "random", shape=tuple(sorted(SHAPE.items())))
PREFIXED = ModelSpec("prefixed", "random", shape=tuple(sorted({**SHAPE, "prefix_ids": (3, 4, 5)}.items())))


@pytest.fixture(scope="module")
def alone(tmp_path_factory):
    return write_tools(tmp_path_factory.mktemp("tools") / "tools.html")


@pytest.fixture
def page(opened, alone):
    found = opened(alone, viewport={"width": 1280, "height": 1000})
    found.locator(".walk select[data-set=model]").select_option("t5-small")
    return found


def step(page, k):
    page.locator("[data-set=k]").evaluate(
        "(field, k) => { field.value = k; field.dispatchEvent(new Event('input', { bubbles: true })); }", k
    )


def test_the_sentence_says_how_many_rows_were_computed_before(page):
    step(page, 85)
    full, cached = page.locator(".pane .said").all_inner_texts()
    assert full.startswith("84 of 85 rows computed before.")
    assert cached.startswith("1 new row computed; 84 earlier rows kept. All 84 kept rows are copied to make room.")


def test_the_arrow_keys_and_the_buttons_move_the_step(page):
    step(page, 10)
    page.get_by_role("button", name="One step on").click()
    page.keyboard.press("ArrowRight")
    assert page.locator(".walk").get_attribute("data-k") == "12"
    page.get_by_role("button", name="One step back").click()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowLeft")
    page.locator("[data-set=k]").focus()
    page.keyboard.press("ArrowRight")
    assert page.locator(".walk").get_attribute("data-k") == "10"


def test_play_goes_on_to_the_last_step_and_stops(page):
    page.locator(".walk [data-set=N]").fill("6")
    step(page, 1)
    page.get_by_role("button", name="Play").click()
    page.wait_for_selector(".walk[data-k='6']", timeout=5_000)
    page.get_by_role("button", name="Play").wait_for()


def test_the_cache_gains_a_row_at_each_step_and_matrices_are_to_scale(page):
    kept = []
    for k in (20, 39, 40):
        step(page, k)
        kept.append(float(page.locator(".pane:nth-child(2) .strips .moved").get_attribute("width")))
    row = kept[2] - kept[1]
    assert [width / row for width in kept] == pytest.approx([19, 38, 39])
    page.locator("[data-side='1']").select_option("static_kv")
    said = page.locator(".pane:nth-child(2) .said").inner_text()
    assert "The buffer has 256 rows, of which 216 are empty." in said


def test_shapes_in_letters_and_numbers_are_those_of_the_ledger(page):
    step(page, 85)
    page.locator("[data-set=B]").first.fill("2")
    card = page.locator(".pane:nth-child(2) .card[data-role='self.scores']").inner_text()
    assert "[16,1,64] x [16,64,85]" in card
    assert "grows with k" in card
    assert f"{2 * 16 * 64 * 85 * 6 / 1e6:.2f} MFLOPs" in card


@pytest.mark.parametrize(
    ("model", "name"),
    [*((MODEL, name) for name in ("full_recompute", "cross_kv", "contiguous_kv", "static_kv")),
     (PREFIXED, "static_kv(read=bucket)")],
)  # fmt: skip
@pytest.mark.parametrize("dtype", ["fp32", "bf16", "fp16"])
def test_the_script_and_python_agree_on_peak_memory(page, model, name, dtype):
    config, formula = config_of(model), peak_formula(config_of(model), parse(name))
    for batch, source, target in ((1, 16, 2), (3, 500, 77), (64, 1024, 4096), (1000, 3, 50_000)):
        cell = Cell(model, source, target, batch, "cpu", dtype, 1, 0, "fixed")
        told = page.evaluate(
            "([moments, dtype, at]) => decodebench.peakBytes({ moments }, dtype, at)",
            [formula.moments, dtype, {"B": batch, "S": source, "N": target}],
        )
        assert told == predicted_peak_bytes(config, cell, parse(name), False)


def test_less_memory_fits_fewer_cases(page):
    page.locator(".fitting select[data-set=model]").select_option("t5-small")
    room = page.locator(".fitting [data-set=room]")
    fits = []
    for gib in ("16", "2", "0.1"):
        room.fill(gib)
        fits.append(page.locator(".maps .fits").count())
    assert fits[0] > fits[1] > fits[2] == 0
    assert "no strategy fits in 0.1 GiB" in page.locator(".fitting .told").inner_text()
    assert set(page.locator(".fitting tbody .verdict").all_inner_texts()) == {"does not fit"}


def test_a_click_on_the_map_chooses_a_case(page):
    page.locator(".maps figure").last.locator("[data-b='16'][data-n='1024']").click()
    told = page.locator(".fitting .told").inner_text()
    assert told.startswith("At batch 16, 256 -> 1,024 in fp32")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [400, 1280])
def test_no_serious_fault_of_accessibility_and_nothing_wider_than_the_screen(opened, alone, scheme, width):
    page = opened(alone, color_scheme=scheme, viewport={"width": width, "height": 900})
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    found = [fault for fault in Axe().run(page).response["violations"] if fault["impact"] in ("serious", "critical")]
    assert not found, [(fault["id"], fault["nodes"][0]["html"][:200]) for fault in found]


def test_no_text_is_smaller_than_twelve_pixels(page):
    small = page.evaluate("""
        [...document.querySelectorAll(".tool *")]
          .filter(e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim()))
          .filter(e => parseFloat(getComputedStyle(e).fontSize) < 12).map(e => e.className)
    """)
    assert small == []


def test_a_run_has_the_tools_for_its_own_model(opened):
    page = opened("sweep")
    assert page.locator(".walk .pane").count() == 2
    assert page.locator(".maps figure").count() == 4


def test_a_compiled_strategy_reads_the_bucket_that_holds_k(opened, tmp_path):
    label = "static_kv(execution=compiled,read=bucket)"
    page = opened(write_report(write_run(tmp_path, *tables([(256, 256)], strategies=(*CORE, label)))))
    page.get_by_label("second strategy").select_option("compiled static_kv")
    scores = page.locator(".pane").nth(1).locator("[data-role='self.scores']")
    for k, read in ((64, 64), (65, 128), (129, 256)):
        step(page, k)
        assert scores.locator(".numbers").inner_text() == f"[4,1,6] x [4,6,{read}]"
        said = page.locator(".pane .said").nth(1).inner_text()
        assert (f"; {read} are read, under a mask" in said) == (k == 65)
    assert scores.locator(".letters").inner_text() == "[BH,1,d] x [BH,d,M]"
    assert "grows with k, by buckets" in scores.inner_text()
