"""Lines of the closing summary on cells that were measured in processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ..store.cell_folder import CellResult


def isolated_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per reason why cells ran in processes of their own; it says after which time these began."""
    found: dict[str, list[float]] = {}
    for done in cells:
        if isolated := done.cell.get("isolated"):
            found.setdefault(isolated["why"], []).append(isolated["begun_s"])
    return [_line(why, seconds) for why, seconds in found.items()]


def _line(why: str, seconds: Sequence[float]) -> str:
    first, *others = seconds
    if not others:
        return f"1 cell ran in a process of its own ({why}), which began after {first:.2g} s"
    cells = f"{len(seconds)} cells ran in processes of their own ({why})"
    return f"{cells}; the first began after {first:.1f} s, each other after {median(others):.2g} s"
