"""Rows of the table, selected and worded for the sentences of the advice."""

from __future__ import annotations

import math
from collections.abc import Hashable, Iterator, Mapping
from itertools import groupby
from typing import Any

import pandas as pd

from ...tables.columns import SPEED
from ...tables.groups import order_of
from ...words.comparison import spoken
from ...words.quality import is_approximate
from ...words.search_told import sizes_told

Row = Mapping[Hashable, Any]
BATCH = ["batch_size", "num_beams"]


def timed(rows: pd.DataFrame) -> pd.DataFrame:
    """Select rows that have a time and name their cell's quickest strategy, which tables of earlier versions do not."""
    return rows[(rows["status"] == "ok") & rows["e2e_s"].notna() & (rows["best_strategy"] != "")]


def cases(rows: pd.DataFrame) -> Iterator[tuple[str, list[Row]]]:
    """Yield each cell's batch size and lengths in words, and its rows, the quickest first."""
    order = [*order_of(rows), "cell"]
    ordered = rows.sort_values([*order, *SPEED], kind="stable").to_dict("records")
    for _, cell in groupby(ordered, key=lambda row: tuple(row[name] for name in order)):
        found: list[Row] = [*cell]
        yield place_of(found[0]), found


def place_of(row: Row) -> str:
    """Batch size and lengths of a row's cell, in words, with the number of beams of beam search.

    >>> place_of({"batch_size": 8, "search": "greedy", "num_beams": 1, "src_len": 128, "tgt_len": 64})
    'batch 8, 128 -> 64'
    """
    return sizes_told(row)


def longest(rows: pd.DataFrame) -> pd.DataFrame:
    """Select, for each batch size and number of beams, the rows with the longest target, then the longest source.

    Of several such batches of a file of texts it is the last.
    """
    for column in ("tgt_len", "src_len", "first_sentence"):
        rows = rows[rows[column] == rows.groupby(BATCH)[column].transform("max")]
    return rows


def largest(rows: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of the largest batch, of the most beams among these, and of ``longest`` among these."""
    for column in BATCH:
        rows = rows[rows[column] == rows[column].max()]
    return longest(rows)


def named(row: Row) -> str:
    """The spoken name of a case, which says so if it is approximate.

    >>> named({"strategy": "window_kv", "exact": 0.0}), named({"strategy": "static_kv", "exact": 1.0})
    ('window_kv (approximate)', 'static_kv')
    """
    return f"{spoken(row['strategy'])}{' (approximate)' * is_approximate(row)}"


def is_strategy(row: Row) -> bool:
    """Whether the row is a strategy's, whose FLOPs are known. A contender's FLOPs are not."""
    return not math.isnan(row["executed_flops"])
