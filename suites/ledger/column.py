"""Rows of a ledger by strategy: those whose products are the same share a column of what is shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pandas as pd

from .symbols import LETTERS

APPEND = "self.append"
"""Role of the copy that every strategy makes, which no sheet of products shows."""


@dataclass(frozen=True)
class Column:
    """Strategies whose products are the same, and role -> row of the ledger for prefill and step together.

    What is copied to be read or for beams has a role beside the products (``READ_ROLES`` and ``BEAM_ROLES`` in
    ``copies.py``).
    """

    labels: tuple[str, ...]
    products: dict[str, dict[str, Any]]

    @property
    def name(self) -> str:
        """Labels of its strategies."""
        return ", ".join(self.labels)

    @property
    def step(self) -> dict[str, dict[str, Any]]:
        """Role -> row of the products that every step runs."""
        found = self.products.items()
        return {role: row for role, row in found if row["when"] == "every step" and row["kind"] != "copy"}

    @property
    def copies(self) -> list[str]:
        """Roles of what is copied to be read or for beams."""
        return [role for role, row in self.products.items() if row["kind"] == "copy"]

    @property
    def has_table(self) -> bool:
        """Whether beams reorder a table of rows in place of the rows."""
        return "self.select" in self.copies and not self.products["self.select"]["shape"].endswith(",d]")

    @property
    def has_beams(self) -> bool:
        """Whether a step computes a row of each of several beams."""
        return any(row["rows_letters"].startswith("BW") for row in self.products.values())


def at_step(ledger: pd.DataFrame, k: int, src_len: int) -> pd.DataFrame:
    """Select the rows of one source length: training, prefill, and step k of every strategy."""
    return ledger[(ledger["src_len"] == src_len) & (ledger["k"].isna() | (ledger["k"] == k))]


def columns(rows: pd.DataFrame) -> list[Column]:
    """Return one column for training, then one for each set of equal products, in the ledger's order.

    Strategies differ too if beams make them copy other things.
    """
    found: dict[tuple[Any, ...], Column] = {}
    for label, mine in rows[rows["role"] != APPEND].groupby("strategy", sort=False):
        records = ({str(name): value for name, value in row.items()} for row in mine.to_dict("records"))
        products = {str(row["role"]): row for row in records}
        key = tuple((role, row["shape"], row["when"]) for role, row in sorted(products.items()))
        labels = (*(found[key].labels if key in found else ()), str(label))
        found[key] = Column(labels, products)
    return list(found.values())


def letters(rows: pd.DataFrame) -> dict[str, int]:
    """Return the number of each letter that stands alone in some shape, in writing order."""
    found: dict[str, int] = {"B": int(rows["batch_size"].iloc[0])}
    for name in ("rows", "inner", "cols"):
        for text, number in zip(rows[f"{name}_letters"], rows[name], strict=True):
            if text in LETTERS:
                found[text] = int(number)
    if "d" in found and not (inner := rows[rows["inner_letters"] == "Hd"]["inner"]).empty:
        found["H"] = int(inner.iloc[0]) // found["d"]
    if not (fed := rows[rows["rows_letters"] == "BW"]["rows"]).empty:
        found["W"] = int(fed.iloc[0]) // found["B"]
    if not (shared := rows[rows["batch_letters"] == "BG"]["batch"]).empty:
        found["G"] = int(shared.iloc[0]) // found["B"]
    return {letter: found[letter] for letter in LETTERS if letter in found}


def row_growth(row: dict[str, Any]) -> list[str]:
    """Return the letters that one row of the ledger grows with."""
    return str(row["grows_with"]).split()


def legend(rows: pd.DataFrame) -> str:
    """Return the letters, what they stand for, and their numbers in these rows."""
    return ", ".join(f"{letter} {LETTERS[letter]} {number}" for letter, number in letters(rows).items())
