"""The page of a run as a file: whole by itself, with the numbers of table.csv, whatever the run holds."""

import base64
import hashlib
import html
import io
import json
import math
import re

import altair as alt
import pandas as pd
import pytest
from rich.console import Console

from suites.__main__ import main
from suites.metrics import metrics
from suites.reporting.bundles import exported
from suites.reporting.numbers import COLUMNS, rounded
from suites.reporting.run import write_report
from suites.tables.columns import completed
from suites.tables.exactness import exact_rows, is_exact
from suites.tables.table_files import read_tables
from suites.telling.advice.rows import longest
from suites.telling.ranking import ranked, rankings

from ..plots.lossy import LOSSY
from ..plots.test_plots import ODD, tables
from .folders import FOLDERS, run_folder, ten_thousand_rows, two_folders, write_run
from .page import Page

BYTES_MAX = 5_000_000


@pytest.fixture(scope="module", params=list(FOLDERS))
def page(request, tmp_path_factory):
    """(name of the folder, folder, the page)."""
    folder = run_folder(tmp_path_factory.mktemp("run"), request.param)
    return request.param, folder, Page(write_report(folder).read_text("utf-8"))


def test_the_page_is_small_and_every_link_inside_it_leads_somewhere(page):
    _, folder, read = page
    assert (folder / "report.html").stat().st_size < BYTES_MAX
    assert {link[1:] for link in read.links if link.startswith("#")} <= set(read.ids)
    assert len(read.ids) == len(set(read.ids))
    outside = [link for link in read.links if not link.startswith("#")]
    assert all((folder / link).exists() for link in outside)


def test_only_the_scripts_of_the_page_may_run_and_nothing_is_loaded(page):
    _, _, read = page
    policy = read.meta["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in policy
    assert "http" not in policy
    run = [text for given, text in read.scripts if given.get("type") == "module"]
    assert re.findall(r"'sha256-([^']+)'", policy) == [
        base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in run
    ]
    assert {given.get("type") for given, _ in read.scripts} == {"module", "application/json"}


def test_the_table_has_the_numbers_of_the_csv_in_four_digits(page):
    _, folder, read = page
    table, _ = read_tables(folder)
    rows = read.data("rows")
    titles = [column["title"] for column in rows["columns"]]
    assert len(rows["data"]) == len(table)
    for column in COLUMNS:
        if column.title not in titles:
            continue
        shown = [row[titles.index(column.title)] for row in rows["data"]]
        values = table[column.source]
        if column.source == "strategy":
            values = values.mask(~is_exact(table), values + " (approximate)")
        if column.text:
            assert [html.unescape(cell) for cell in shown] == list(values)
        else:
            told = (1 / values if column.inverse else values / column.unit_size).tolist()
            assert shown == [rounded(value) for value in told]
            assert shown == pytest.approx(told, rel=1e-3, nan_ok=True) or None in shown


def test_each_row_names_its_case_and_the_quickest_of_each_case_is_marked(page):
    name, folder, read = page
    table, _ = read_tables(folder)
    rows = read.data("rows")
    assert len(rows["case"]) == len(table)
    named = [html.unescape(rows["cases"][place]) for place in rows["case"]]
    for told, row in zip(named, table.to_dict("records"), strict=True):
        beams = {"greedy": "", "beam": f" {row['num_beams']} beam{'s' * (row['num_beams'] > 1)},"}[row["search"]]
        assert told.endswith(f"batch {row['batch_size']},{beams} {row['src_len']} -> {row['tgt_len']}")
        assert name != "searches" or told.startswith(row["search"])
    timed = exact_rows(table[table["e2e_s"].notna()])
    quickest = {timed.loc[mine.index, "e2e_s"].idxmin() for _, mine in timed.groupby(["cell", "device", "model"])}
    assert set(rows["best"]) == quickest
    assert name == "nothing measured" or quickest


def test_verdicts_are_the_rows_that_the_terminal_shows(page):
    """The page says beside the name of an approximate strategy what the terminal says in a column of its own."""
    name, folder, read = page
    table, _ = read_tables(folder)
    shown = Console(file=io.StringIO(), width=250)
    for ranking in rankings(completed(table)):
        shown.print(ranking)
    terminal = " ".join(shown.file.getvalue().split())
    rows = longest(completed(table))
    for row in rows[rows["status"] == "ok"].to_dict("records"):
        told = ranked(row, 0.0898 if name == "approximate" else math.nan)
        cells = " ".join(" ".join(told).split())
        assert cells in read.text
        if name == "approximate":
            assert all(cell in terminal for cell in told[1:])
            assert told[0].partition(" (approximate: ")[2].rstrip(")") in terminal
        else:
            assert cells in terminal


def test_each_plot_has_a_message_a_text_alternative_and_its_numbers(page):
    _, _, read = page
    for name, spec in read.specs().items():
        assert name.removesuffix("-spec") in read.ids
        assert len(spec["description"]) > 30
        assert spec["description"] in read.text.replace("\u00a0", " ") or "  " in spec["description"]
        about = read.data(name.replace("-spec", "-about"))
        switches = [param["name"] for param in spec["params"] if param["name"].startswith("show_")]
        assert switches == [f"show_{place}" for place in range(len(about["labels"]))]
        assert all(label in read.boxes for label in about["labels"])
        assert all(
            param["bind"]["element"].removeprefix("#") in read.ids for param in spec["params"] if "bind" in param
        )


def test_each_specification_is_what_vega_lite_allows(page):
    _, _, read = page
    for spec in read.specs().values():
        alt.Root.validate(spec)


def test_no_text_of_a_plot_is_smaller_than_twelve_pixels_and_bars_begin_at_zero(page):
    _, _, read = page
    for spec in read.specs().values():
        sizes = [size for part in spec["config"].values() if isinstance(part, dict) for size in part.values()]
        assert sizes
        assert min(sizes) >= 12
        for layer in spec.get("layer", [spec]):
            if layer["mark"].get("type") == "bar":
                scale = layer["encoding"]["x"]["scale"]
                assert scale.get("zero") or scale["domain"][0] == 0


def test_warnings_environment_and_formulas_are_told(page):
    name, _, read = page
    assert "others used the CPU: close them & run again" in read.text
    assert "A CPU <of> ours" in read.text
    if name != "nothing measured":
        assert metrics()["e2e_s"].formula in read.text


@pytest.mark.parametrize(
    ("name", "drawn"), [("sweep", 8), ("one row", 6), ("nothing measured", 0), ("two devices", 14), ("approximate", 9)]
)
def test_what_can_be_drawn_is(name, drawn, tmp_path):
    assert len(Page(write_report(run_folder(tmp_path, name)).read_text("utf-8")).specs()) == drawn


def test_what_failed_is_told_on_top_with_its_reason(tmp_path):
    text = Page(write_report(run_folder(tmp_path, "failed")).read_text("utf-8")).text
    assert "4 of 12 cases have no times; the first: contiguous_kv, invalid: why" in text
    assert "In no plot: contiguous_kv (invalid)." in text


def test_a_run_that_was_not_finished_is_said_with_the_remedy(tmp_path, capsys):
    (tmp_path / "cells").mkdir()
    assert main(["report", str(tmp_path)]) == 1
    told = capsys.readouterr().err
    assert f"was not finished; `plot {tmp_path} --retable` makes its tables" in told


def test_equality_is_told(page):
    name, _, read = page
    told = "every strategy gave full recompute's logits within 1.0e+00 at each step"
    assert name == "approximate" or (told in read.text) == (name != "nothing measured")


def test_a_label_cannot_break_out_of_its_place(tmp_path):
    raw = write_report(run_folder(tmp_path, "odd labels")).read_text("utf-8")
    assert "<script>alert" not in raw
    read = Page(raw)
    assert ODD[2] in read.text
    assert any(html.escape(ODD[2]) in row for row in read.data("rows")["data"])


def test_the_answer_is_the_quickest_strategy_at_the_longest_case(tmp_path):
    text = Page(write_report(run_folder(tmp_path, "sweep")).read_text("utf-8")).text
    table, _ = read_tables(tmp_path)
    longest = table[table["tgt_len"] == table["tgt_len"].max()]
    quickest = longest.loc[longest["e2e_s"].idxmin(), "strategy"]
    assert f"At batch 1, 128 -> 128, use {quickest}" in text


def test_models_whose_names_hold_any_sign_are_told_apart_by_ids_that_a_selector_takes(tmp_path):
    read = Page(write_report(run_folder(tmp_path, "odd models")).read_text("utf-8"))
    assert len(read.specs()) == 14
    assert all(re.fullmatch(r"[\w-]+", name) for name in read.specs())


def test_settings_in_which_cases_differ_are_columns(tmp_path):
    table, steps = tables()
    both = pd.concat([table.assign(threads=n, cell=f"{n}") for n in (1, 2)], ignore_index=True)
    read = Page(write_report(write_run(tmp_path, both, steps.assign(cell="1"))).read_text("utf-8"))
    titles = [column["title"] for column in read.data("rows")["columns"]]
    assert "threads" in titles
    assert "seed" not in titles


@pytest.mark.parametrize("damage", ["[]", "{"])
def test_a_damaged_folder_is_one_line(damage, tmp_path, capsys):
    (run_folder(tmp_path, "sweep") / "environment.json").write_text(damage)
    assert main(["report", str(tmp_path)]) == 1
    assert "environment.json" in capsys.readouterr().err


def test_ten_thousand_rows_stay_below_five_megabytes(tmp_path):
    path = write_report(write_run(tmp_path, *ten_thousand_rows()))
    assert len(Page(path.read_text("utf-8")).data("rows")["data"]) == 10_000
    assert path.stat().st_size < BYTES_MAX


def test_long_curves_are_thinned(tmp_path):
    folder = write_run(tmp_path, *tables([(16, 1000)]))
    specs = Page(write_report(folder).read_text("utf-8")).specs()
    values = specs["steps-spec"]["datasets"]["rows"]
    assert max(sum(row["i"] == i for row in values) for i in range(4)) == 200


def test_two_runs_are_one_page_that_says_what_compare_says(tmp_path, capsys):
    first, second = two_folders(tmp_path)
    assert main(["report", str(first), str(second), "--dir", str(tmp_path / "out")]) == 1
    path = tmp_path / "out" / "report.html"
    assert capsys.readouterr().out == f"{path}\n"
    read = Page(path.read_text("utf-8"))
    assert main(["compare", str(first), str(second), "--json", "--dir", str(tmp_path / "compared")]) == 1
    told = json.loads(capsys.readouterr().out)
    assert told["conclusion"] in read.text
    assert len(read.data("rows")["data"]) == len(told["rows"])
    assert "static_kv" in told["conclusion"]
    assert list(read.specs()) == ["change-spec"]
    alt.Chart.from_dict(read.specs()["change-spec"]).to_dict(validate=True)
    assert (tmp_path / "out" / "compare.csv").exists()


def test_a_page_of_beam_search_says_what_more_beams_buy(tmp_path):
    table, steps = tables(beams=(1, 4))
    spoken = table.assign(phoneme_error=0.1 / table["num_beams"])
    read = Page(write_report(write_run(tmp_path / "spoken", spoken, steps)).read_text("utf-8"))
    assert "Phoneme error on held-out words: 10.00 % with 1 beam and 2.50 % with 4 beams. 4 beams lower " in read.text
    assert "beams" in read.ids
    assert "Phoneme" not in Page(write_report(write_run(tmp_path / "not", table, steps)).read_text("utf-8")).text


def test_a_page_with_approximate_strategies_has_a_part_on_quality_and_names_them_so(tmp_path):
    read = Page(write_report(run_folder(tmp_path / "with", "approximate")).read_text("utf-8"))
    assert {"section-quality", "quality", "loss"} <= set(read.ids)
    assert "#section-quality" in read.links
    table = read.data("rows")
    titles = [column["title"] for column in table["columns"]]
    named = [row[titles.index("strategy")] for row in table["data"]]
    assert {name for name in named if name.endswith(" (approximate)")} == {f"{name} (approximate)" for name in LOSSY}
    assert {row[titles.index("phoneme error (%)")] for row in table["data"] if "sliding" in row[0]} >= {31}
    assert not any("(approximate)" in named[place] for place in table["best"])
    assert "the quickest exact strategy of each case in bold" in read.text
    assert "Phoneme error of exact strategies on held-out words: 8.98 %." in read.text
    without = Page(write_report(run_folder(tmp_path / "without", "sweep")).read_text("utf-8"))
    assert not {"section-quality", "quality", "loss", "beams"} & set(without.ids)
    assert "the quickest of each case in bold" in without.text


def test_equal_folders_make_equal_pages(tmp_path):
    pages = [write_report(run_folder(tmp_path / name / "run", "sweep")).read_bytes() for name in "ab"]
    assert pages[0] == pages[1]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere/table.csv does not exist"),
        (["a", "b", "c"], "3 folders are not allowed; give one, or two to compare"),
        (["a", "--across-machines"], "are for two folders"),
        (["--what"], "unrecognized arguments: --what"),
    ],
)
def test_a_mistake_is_one_line(arguments, said, capsys):
    assert main(["report", *arguments]) == 1
    told = capsys.readouterr().err
    assert said in told
    assert told.count("\n") == 1


def test_an_unknown_version_of_a_script_is_said():
    with pytest.raises(ValueError, match="exports no default"):
        exported("let a=1;export{b as c};", "default", "A")
