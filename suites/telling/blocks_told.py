"""Lines on caches in blocks: how many blocks were in use at the end of a beam search, whose beams share full ones."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence

from ..settings.search import search_from
from ..store.cell_folder import CellResult
from .choices_told import case_told


def blocks_told(cells: Sequence[CellResult]) -> list[str]:
    """Make a line for each strategy with blocks: those in use with beams; of many cells the least and the fullest."""
    found: defaultdict[str, list[tuple[float, str, str]]] = defaultdict(list)
    for done in cells:
        if search_from(done.cell.get("search")).width > 1:
            for arm in done.arms:
                if arm.kv_used_blocks is not None and arm.kv_reserved_blocks:
                    share = arm.kv_used_blocks / arm.kv_reserved_blocks
                    told = f"{arm.kv_used_blocks} of {arm.kv_reserved_blocks} blocks"
                    found[arm.strategy].append((share, told, case_told(done)))
    shared = "in use at the end; beams share full blocks"
    return [f"{label}: {_extremes(sorted(cases))} {shared}" for label, cases in found.items()]


def _extremes(cases: Sequence[tuple[float, str, str]]) -> str:
    (_, told, _), *others = cases
    return told if not others else " to ".join(f"{told} ({case})" for _, told, case in (cases[0], cases[-1]))
