"""Which rows count as exact, in whatever form a table keeps the column."""

import math

import pandas as pd
import pytest

from suites.tables.exactness import exact_rows, is_exact

from ..plots.test_plots import CORE, tables


@pytest.mark.parametrize(
    "kept", [[True, False, math.nan], [1.0, 0.0, math.nan], ["True", "False", ""]], ids=["bool", "number", "text"]
)
def test_only_a_row_that_says_it_is_not_exact_is_approximate(kept):
    rows = pd.DataFrame({"strategy": ["a", "b", "contender"], "exact": kept})
    assert is_exact(rows).tolist() == [True, False, True]
    assert exact_rows(rows)["strategy"].tolist() == ["a", "contender"]


def test_a_column_of_bools_alone_is_read_as_it_is():
    rows = pd.DataFrame({"exact": [False, True]})
    assert rows["exact"].dtype == bool
    assert is_exact(rows).tolist() == [False, True]
    assert is_exact(rows[:0]).tolist() == []


def test_every_row_of_an_earlier_version_is_exact():
    table = tables()[0].drop(columns="exact", errors="ignore")
    assert exact_rows(table)["strategy"].tolist() == list(CORE)
