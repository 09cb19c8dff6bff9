"""The verdicts of the page: the ranked table of the terminal, for the longest cell of each batch size."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ..telling.advice.approximate import exact_error
from ..telling.advice.rows import cases, longest
from ..telling.ranking import COLUMNS, ranked
from ..words.quality import is_approximate

HEADER = ("strategy", *COLUMNS)
LEFT = tuple(place for place, name in enumerate(HEADER) if name == "strategy")
"""Places of the columns that hold words, which begin at the left."""


@dataclass(frozen=True)
class Verdicts:
    """The ranking of one cell: ``place`` is the cell in words, ``rows`` are texts under ``HEADER``, quickest first."""

    place: str
    rows: list[tuple[str, ...]]


def verdicts(rows: pd.DataFrame) -> list[Verdicts]:
    """Rank the cases of one model on one device. Those that failed are at the end, with their status.

    Approximate strategies stand below the others, with their quality beside their names.
    """
    return [
        Verdicts(place, [_filled(ranked(row, exact_error(cell))) for row in sorted(cell, key=is_approximate)])
        for place, cell in cases(longest(rows))
    ]


def _filled(cells: list[str]) -> tuple[str, ...]:
    """Make a row as wide as the header, since the row of a failed case is shorter."""
    return (*cells, *[""] * (len(HEADER) - len(cells)))
