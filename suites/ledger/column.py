"""Rows of a ledger by strategy: those whose products are the same share a column of what is shown."""

from __future__ import annotations

import math
import re
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
    """Return the number of each letter that occurs in some shape, in writing order.

    A letter that stands alone has its number beside it. That of one that is multiplied with others alone, as the heads
    in ``3Hd``, is what is left of the product.
    """
    found: dict[str, int] = {"B": int(rows["batch_size"].iloc[0])}
    left = {
        (str(text), int(number))
        for name in ("batch", "rows", "inner", "cols")
        for text, number in zip(rows[f"{name}_letters"], rows[name], strict=True)
        if _PRODUCT.fullmatch(str(text))
    }
    while left:
        for text, number in (known := {one for one in left if len(_unknown(one[0], found)) <= 1}):
            for letter in _unknown(text, found):
                factors = [found[other] for other in _LETTER.findall(text) if other != letter]
                found[letter] = number // math.prod(factors, start=int(_PRODUCT.sub(r"\1", text) or 1))
        left -= known
        if not known:
            break
    return {letter: found[letter] for letter in LETTERS if letter in found}


_LETTER = re.compile("|".join(sorted(LETTERS, key=len, reverse=True)))
_PRODUCT = re.compile(rf"(\d*)(?:{_LETTER.pattern})+")


def _unknown(text: str, found: dict[str, int]) -> list[str]:
    return [letter for letter in _LETTER.findall(text) if letter not in found]


def prefix_told(rows: pd.DataFrame) -> str:
    """Say which rows of a prefix prefill feeds; "" if it feeds none. No sheet shows their products."""
    fed = rows[(rows["phase"] == "prefill") & (rows["role"] == "self.qkv")]
    if fed.empty:
        return ""
    most = max(int(shape.split(",")[1]) for shape in fed["shape_numbers"])
    first = "token" if most == 1 else f"{most} tokens"
    return (
        f"In prefill, strategies that keep K and V also run the decoder on the first {first} of the prefix of "
        f"{most + 1}, without the head (P-1 rows in ledger.csv)."
    )


def row_growth(row: dict[str, Any]) -> list[str]:
    """Return the letters that one row of the ledger grows with."""
    return str(row["grows_with"]).split()


def legend(rows: pd.DataFrame) -> str:
    """Return the letters, what they stand for, and their numbers in these rows."""
    return ", ".join(f"{letter} {LETTERS[letter]} {number}" for letter, number in letters(rows).items())
