"""What is printed of a profile, on terminals of any width and on none."""

import re
from dataclasses import replace

import pandas as pd
import pytest

from suites.profiling import diff, report
from suites.profiling import printed as printed_tables
from suites.profiling.tables import operator_table, range_table

LONG = "static_kv(cross=recompute,capacity=16,read=buffer)"


@pytest.fixture
def printed(traced, capsys, monkeypatch, tmp_path):
    """``printed(width, pair, labels)``: lines of a report on a terminal that is so wide, on none where it is 0."""
    for name in ("NO_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)

    def run(width, pair=None, labels=("full_recompute", LONG)):
        if width:
            monkeypatch.setenv("FORCE_COLOR", "1")
            monkeypatch.setenv("COLUMNS", str(width))
        done = [traced(label) for label in labels]
        ranges, operators = (pd.concat(map(table, done)) for table in (range_table, operator_table))
        report.print_report(done, ranges, operators, tmp_path, pair)
        out = capsys.readouterr().out
        assert ("\x1b" in out) == bool(width)
        return re.sub(r"\x1b\[[\d;]*m", "", out).splitlines(), operators

    return run


def first_words(lines, head):
    """The first words of the rows of every table whose first column is ``head``."""
    words, inside = [], False
    for line in lines:
        if inside and (not line.strip() or line.startswith("and ")):
            inside = False
        if inside and not line.startswith(" "):  # shapes that are wrapped have nothing to their left
            words.append(line.split()[0])
        inside |= line.split()[:1] == [head]
    return words


PATHS = ("trace of ", "tensorboard --logdir ", "ranges.csv, ")
"""Lines with a path, which stays whole to be copied."""


@pytest.mark.parametrize("pair", [None, ("full_recompute", LONG), (LONG, "full_recompute")])
def test_a_terminal_of_80_columns_breaks_no_line_and_no_operator(printed, monkeypatch, pair):
    monkeypatch.setattr(printed_tables, "TOP", 1000)
    lines, operators = printed(80, pair)
    assert [line for line in lines if len(line) > 80 and not line.startswith(PATHS)] == []
    names = set(operators[operators["range"] == "decode_step"]["operator"])
    assert max(map(len, names)) > 40
    assert set(first_words(lines, "operator")) == names
    blocks = {"self_attn", "cross_attn", "project_kv", "ffn", "lm_head"}
    assert blocks <= {line.split()[0] for line in lines if line.strip()}


def test_a_name_that_no_terminal_has_room_for_stays_whole_all_the_same(printed):
    lines, operators = printed(50, ("full_recompute", LONG))
    assert set(first_words(lines, "operator")) <= set(operators["operator"])
    assert f"2 {LONG}" in lines


@pytest.mark.parametrize("pair", [("full_recompute", LONG), (LONG, "full_recompute")])
def test_a_diff_numbers_its_strategies_the_pair_first(printed, pair):
    lines, _ = printed(80, pair, labels=("static_kv", "full_recompute", LONG))
    key = lines.index(f"1 {pair[0]}")
    assert lines[key : key + 3] == [f"1 {pair[0]}", f"2 {pair[1]}", "3 static_kv"]
    heads = [line.split()[:6] for line in lines if line.startswith(("range ", "operator "))]
    assert [head[1:6] for head in heads] == [["1", "2", "1", "-", "2"]] * 2
    assert first_words(lines, "strategy")[:3] == ["1", "2", "3"]


def test_a_diff_says_how_many_more_operators_the_file_has(printed, monkeypatch):
    monkeypatch.setattr(printed_tables, "TOP", 5)
    lines, operators = printed(80, ("full_recompute", LONG))
    shown = first_words(lines, "operator")
    count = operators[operators["range"] == "decode_step"]["operator"].nunique()
    assert len(shown) == 5
    assert f"and {count - 5} more in operators.csv" in lines


def test_percentages_of_a_difference_that_is_not_there_are_not_shown(printed, monkeypatch):
    for divided in (True, False):
        monkeypatch.setattr(diff.Comparison, "divided", divided)
        monkeypatch.setattr(report, "sentence", lambda ranges, comparison: "said")
        lines, _ = printed(80, ("full_recompute", LONG))
        assert any("% of it" in line for line in lines) == divided


@pytest.mark.parametrize("pair", [None, ("full_recompute", LONG)])
def test_without_a_terminal_prose_is_wrapped_to_be_read_and_tables_are_not(printed, pair):
    lines, operators = printed(0, pair)
    start = next(i for i, line in enumerate(lines) if line.startswith(("share: %", "% of it:", "1 - 2:")))
    legend = lines[start : lines.index("", start)]
    assert len(legend) > 2
    assert max(map(len, legend)) <= 100
    assert " ".join(legend) in (report.LEGEND, report.DIFF_LEGEND, report.DIVIDED_LEGEND)
    if pair is None:
        shapes = operators[operators["range"] == "decode_step"].groupby("strategy").head(printed_tables.TOP)["shapes"]
        assert all(any(line.rstrip().endswith(shape) for line in lines) for shape in shapes)
        assert max(map(len, lines)) > 100


def test_a_busy_machine_is_told_of(traced):
    quiet, busy = (replace(traced("static_kv"), waited=waited) for waited in (0.1, 0.35))
    assert report.busy_lines([quiet, busy]) == [
        "warning: static_kv had to wait for a processor in 35 % of the profiled time: the machine is busy with other "
        "things; profile again, or give fewer threads"
    ]
