"""Labels are text wherever they are shown: in the terminal, in figures, in CSV, in Markdown, in file names."""

import pandas as pd
import pytest

from suites.plots import draw
from suites.settings.cells import make_cell
from suites.settings.config import RunConfig
from suites.store.frame import as_csv, read_frame, write_frame
from suites.tables.columns import completed
from suites.telling.summary import print_summary

from ..plots.test_plots import TIED, tables

HOSTILE = ("[/red]", "a$b_{$x", "L" * 235, "😀", "=cmd|' /C calc'!A0", "<script>alert(1)</script>", ":smile:")


def test_the_summary_prints_labels_as_they_stand(capsys, tmp_path):
    table, _ = tables(strategies=HOSTILE)
    print_summary(tmp_path, completed(table).assign(model="[/red] :smile:"), [])
    printed = "".join(capsys.readouterr().out.split())
    for label in (label for label in HOSTILE if len(label) < 60):  # a longer one is folded
        assert "".join(label.split()) in printed


def test_figures_are_drawn_of_any_label_and_each_model_has_its_own(tmp_path):
    table, steps = tables(TIED[:1], strategies=HOSTILE[:4])
    names = ("😀" * 99, "a$b_{$x" * 40)
    every = [pd.concat([frame.assign(model=name, cell=frame["cell"] + str(i)) for i, name in enumerate(names)])
             for frame in (table, steps)]  # fmt: skip
    written = draw(tmp_path, *every)
    assert sum(path.name.startswith("totals") for path in written) == 2
    assert max(len(path.name.encode()) for path in written) < 200


def test_a_figure_that_fails_is_told_and_the_others_are_drawn(tmp_path, monkeypatch):
    def fail(_):
        raise RuntimeError("no such glyph")

    monkeypatch.setattr("suites.plots.totals.figure", fail)
    told = []
    table, steps = tables()
    written = draw(tmp_path, table, steps, None, told.append)
    assert [path.stem for path in written if path.stem.startswith("step_latency")]
    (line,) = told
    assert line.startswith("the plot totals could not be made (RuntimeError: no such glyph); ")
    assert "RuntimeError" in (tmp_path / "plots" / "totals.error.txt").read_text()


@pytest.mark.parametrize("label", [*HOSTILE, "'=1", "-1", "+1", "@x", "'quoted'"])
def test_a_cell_of_csv_is_no_formula_and_is_read_back_equal(tmp_path, label):
    frame = pd.DataFrame({"model": [label], "strategy": ["x"]})
    write_frame(tmp_path, "table", frame)
    assert as_csv(frame).split("\n")[1].lstrip('"')[0] not in "=+-@"
    assert read_frame(tmp_path / "table.csv", ["model"])["model"].tolist() == [label]


def test_a_long_name_fits_a_folder_and_keeps_its_hash():
    short, first, second = (
        make_cell(RunConfig(model={"name": name, "source": "random"}, device="cpu"))
        for name in ("m", "é" * 300 + "a", "é" * 300 + "b")
    )
    assert short.id.startswith("m_b1_s64_t64_cpu_fp32_")
    assert max(len(first.id.encode()), len(second.id.encode())) <= 255
    assert first.id != second.id


def test_control_characters_of_a_name_are_escapes():
    cell = make_cell(RunConfig(model={"name": "a\x1b[2J\n", "source": "random"}, device="cpu"))
    assert cell.model.name == r"a\x1b[2J\n"
