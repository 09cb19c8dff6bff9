"""Verdicts of the page: the ranked table of the terminal, at the longest case of each batch."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..telling.advice.rows import cases, longest
from ..telling.summary import COLUMNS, ranked

HEADER = ("strategy", *COLUMNS)


@dataclass(frozen=True)
class Verdicts:
    """A case in words, and rows of text under ``HEADER``, the quickest first."""

    place: str
    rows: list[tuple[str, ...]]


def verdicts(rows: pd.DataFrame) -> list[Verdicts]:
    """Of one model on one device; what failed stands at the end with its status."""
    return [Verdicts(place, [_filled(ranked(row)) for row in cell]) for place, cell in cases(longest(rows))]


def _filled(cells: list[str]) -> tuple[str, ...]:
    """As wide as the header, of what failed too."""
    return (*cells, *[""] * (len(HEADER) - len(cells)))
