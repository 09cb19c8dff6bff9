"""What a run swept: the column along which plots are drawn, and the columns that divide them into panels."""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..tables.columns import SIZES
from ..words.quantity import counted

LABELS = {
    "tgt_len": "target length (tokens)",
    "src_len": "source length (tokens)",
    "batch_size": "batch (sentences)",
    "num_beams": "beams (per sentence)",
    "first_sentence": "first sentence of the batch",
}
LINEAR = frozenset({"first_sentence"})
"""Columns whose values are equally far apart. Those of the others are usually doubled."""
_KINDS = {
    "batch_size": "batches",
    "num_beams": "numbers of beams",
    "first_sentence": "batches of sentences",
    "src_len": "sources",
    "tgt_len": "targets",
}
_WORDS = {
    "batch_size": "batch",
    "num_beams": "beams",
    "first_sentence": "sentence",
    "src_len": "source",
    "tgt_len": "target",
}


def axis_of(table: pd.DataFrame) -> tuple[str, str]:
    """(column, label) of what was swept: a length, or the number of beams if no length varies, or else the batch.

    Source and target count as one length if they are equal in every case; otherwise the target comes first. The batches
    of a file of texts come before their source lengths. Where nothing varies, the axis is the target length.
    """
    order = ("tgt_len", "first_sentence", "src_len", "num_beams", "batch_size")
    varies = [column for column in order if table[column].nunique() > 1]
    if {"src_len", "tgt_len"} <= {*varies} and is_tied(table):
        return "tgt_len", f"source = {LABELS['tgt_len']}"
    column = next(iter(varies), "tgt_len")
    return column, LABELS[column]


def is_tied(table: pd.DataFrame) -> bool:
    """Whether source and target are one length: equal in every case."""
    return bool((table["src_len"] == table["tgt_len"]).all())


def rest_of(table: pd.DataFrame, axis: str) -> list[str]:
    """Columns of ``SIZES`` that vary besides the axis, in the order in which panels are named.

    Those are left out that another one settles.

    The first sentence of a batch of texts settles its source length.
    """
    settled = {"src_len"} if axis == "tgt_len" and is_tied(table) else set()
    if table["first_sentence"].nunique() > 1:
        settled |= {"src_len"}
    return [column for column in SIZES if column not in {axis, *settled} and table[column].nunique() > 1]


def largest(table: pd.DataFrame) -> pd.DataFrame:
    """Select the rows of the longest target, of these of the longest source, then of the largest batch, then the last.

    The last are those of the last batch of a file of texts.
    """
    for column in ("tgt_len", "src_len", "batch_size", "first_sentence"):
        table = table[table[column] == table[column].max()]
    return table


def place_on(axis: str, value: float) -> str:
    """Name a place on the axis in words.

    >>> place_on("tgt_len", 64.0), place_on("batch_size", 8.0), place_on("num_beams", 1.0)
    ('64 tokens', 'batch 8', '1 beam')
    >>> place_on("first_sentence", 9.0)
    'the sentences from 9 on'
    """
    number = int(value)
    if axis == "first_sentence":
        return f"the sentences from {number} on"
    if axis == "batch_size":
        return f"batch {number}"
    return counted(number, "beam" if axis == "num_beams" else "token")


def panel_named(columns: Sequence[str], values: Sequence[object]) -> str:
    """Name a panel by the values that its cases share.

    >>> panel_named(["batch_size", "num_beams", "src_len"], [8, 4, 64])
    'batch 8, 4 beams, source 64'
    """
    return ", ".join(
        place_on(column, int(str(value))) if column == "num_beams" else f"{_WORDS[column]} {value}"
        for column, value in zip(columns, values, strict=True)
    )


def panels_kind(columns: Sequence[str]) -> str:
    """What the panels are, in the plural.

    >>> panels_kind(["batch_size"]), panels_kind(["num_beams"]), panels_kind(["batch_size", "src_len"])
    ('batches', 'numbers of beams', 'pairs of batch and source')
    """
    if len(columns) > 2:
        return f"combinations of {', '.join(_WORDS[column] for column in columns)}"
    if len(columns) == 2:
        return f"pairs of {' and '.join(_WORDS[column] for column in columns)}"
    return _KINDS[columns[0]] if columns else "cells"
