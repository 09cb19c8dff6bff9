"""Which cells of a run were disturbed, and by what: the warnings of ``noise``, told of each cell."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..store.cell_folder import CellResult
from .noise import DRIFT_SHARE, noises, speeds

UNTIMED = {"A/A", "A/A in a child process"}
"""Kinds of noise that say what was not measured. They disturb no times."""
DRIFT = "drift of the machine"


def disturbances(cells: Sequence[CellResult]) -> list[list[str]]:
    """List for each cell the kinds of noise that may have spoiled its times; an empty list where there were none.

    Where the machine's speed drifted, the cells are named in which it was furthest from the median over cells: by more
    than the square root of what is called a drift. So whenever ``noise.drift`` warns, at least one cell is named.
    """
    found = [[kind for kind in dict.fromkeys(n.kind for n in noises(one)) if kind not in UNTIMED] for one in cells]
    place = {id(result): number for number, result in enumerate(cells)}
    for drifted in speeds(cells):
        if not drifted.drift:
            continue
        middle = float(np.median([value for _, value in drifted.medians]))
        for result, value in drifted.medians:
            kinds = found[place[id(result)]]
            if abs(math.log(value / middle)) > math.log1p(DRIFT_SHARE) / 2 and DRIFT not in kinds:
                kinds.append(DRIFT)
    return found
