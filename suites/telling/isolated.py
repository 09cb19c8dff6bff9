"""Lines of the closing summary on cells that were measured in processes of their own."""

from __future__ import annotations

from collections.abc import Sequence
from statistics import median

from ..store.cell_folder import CellResult


def isolated_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per reason why cells ran in processes of their own; it says what starting these took."""
    found: dict[str, list[float]] = {}
    for done in cells:
        if isolated := done.cell.get("isolated"):
            found.setdefault(isolated["why"], []).append(isolated["begun_s"])
    return [_line(why, seconds) for why, seconds in found.items()]


def _line(why: str, seconds: Sequence[float]) -> str:
    several = f"{len(seconds)} cells ran in processes of their own"
    cells = several if len(seconds) > 1 else "1 cell ran in a process of its own"
    once = f", {seconds[0]:.1f} s for the first" if len(seconds) > 1 else ""
    each = median(seconds[1:] or seconds)
    return f"{cells} ({why}), {each:.2g} s more{' each' if once else ''}{once}"
