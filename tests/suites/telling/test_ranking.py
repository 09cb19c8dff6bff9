"""The ranked table and its legend, of small made-up tables."""

import pandas as pd

from suites.telling.legend import legend
from suites.telling.ranking import below, rankings
from suites.telling.sparkline import sparkline
from suites.telling.step_summary import markdown_summary

from .test_card import QUIET, table_of


def test_cells_with_different_baselines_are_not_headed_by_the_first_ones():
    other = {"cross_kv": [2.0, 2.02, 1.99], "static_kv": [1.0, 1.01, 0.99]}
    for times, head in ((QUIET, "full_recompute"), (other, "the baseline")):
        table = pd.concat([table_of(QUIET), table_of(times).assign(cell="b", tgt_len=16)], ignore_index=True)
        (ranking,) = rankings(table)
        assert f"speedup over {head}" in [column.header for column in ranking.columns]
        assert f"speedup: {head}'s end-to-end time over the case's" in markdown_summary(table, [], 0.02)


def test_the_legend_says_what_a_bar_stands_for_and_of_which_comparisons_the_5_percent_hold():
    assert len(sparkline([1.0] * 24)) == 12
    told = legend("full_recompute")
    assert "beyond 12 rounds, per several" in told
    assert "among comparisons with the baseline, is at most 5 %" in told


def test_the_line_below_explains_the_marks_that_stand_in_the_table_and_no_others():
    certain, alone = table_of(QUIET), table_of({"static_kv": [1.0, 1.01, 0.99]})
    assert below(certain) == "Speedups are end to end, their intervals adjusted for all comparisons: run --legend"
    assert below(alone) == "Speedups are end to end: run --legend"
    assert below(certain.assign(e2e_verdict="undecided")).startswith("?: the rounds do not decide. Speedups")
    marked = certain.assign(disturbed_by="drift of the machine")
    assert below(marked).startswith("!: disturbed, advice.txt says by what. Speedups")
    (ranking,) = rankings(marked)
    assert "!" in [str(cell) for cell in ranking.columns[1].cells]


def test_a_cell_that_was_disturbed_takes_no_room_from_the_columns():
    table = table_of(QUIET)
    (quiet,), (marked,) = (rankings(rows, 80) for rows in (table, table.assign(disturbed_by="drift of the machine")))
    assert [column.header for column in quiet.columns] == [column.header for column in marked.columns]
    assert [column.min_width for column in quiet.columns] == [column.min_width for column in marked.columns]
