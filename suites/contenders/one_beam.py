"""Beam search with a single beam, in libraries that decode greedily then."""

from __future__ import annotations

from typing import TYPE_CHECKING

from strategies.search.options import Beam

if TYPE_CHECKING:
    from ..settings.cells import Cell


def greedy_rule(cell: Cell) -> str:
    """Return in which rule greedy search differs from beam search with one beam in this cell, or "".

    Beam search may go on past the EOS of its only beam, by the next best token, and come to a longer sequence of a
    better score. Greedy search ends there.
    """
    search = cell.search
    if not isinstance(search, Beam) or search.num_beams > 1 or cell.stop == "fixed":
        return ""
    may_go_on = search.early_stopping != "true" and search.length_penalty != 0
    return "with one beam it decodes greedily" if may_go_on else ""
