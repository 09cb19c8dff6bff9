"""Which cells of a run were disturbed, and by what: the warnings of ``noise``, told of each cell."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

import numpy as np

from ..store.cell_folder import CellResult
from .noise import DRIFT_SHARE, noises, speeds

UNTIMED = {"A/A", "A/A in a child process"}
"""Kinds of noise that say what was not measured. They disturb no times."""
DRIFT = "drift of the machine"
LINES = {
    "A/A in a child process": r"the A/A arm in a child process ",
    "A/A": r"the A/A arm ",
    "other load": r"other processes used .* cores during the rounds(?! of )",
    "contender disturbed": r"other processes used ",
    "threads": r"\d+ threads share ",
    "CPU frequency": r"the CPU's frequency ",
    "GPU throttling": r"the GPU was slowed down",
    "trend": r"the baseline took ",
    "garbage collection": r"Python's garbage ",
    DRIFT: r"the machine (read memory|multiplied matrices) ",
}
"""How the line of each kind of noise begins (``noise.told``); of two that fit, the first. Folders keep only lines."""
BRIEFLY = {
    "other load": "other processes used the CPU",
    "contender disturbed": "other processes used the CPU during rounds of a contender",
    "threads": "there were more threads than cores",
    "CPU frequency": "the CPU's frequency changed between rounds",
    "GPU throttling": "the GPU was slowed down",
    "trend": "the baseline's time changed over its rounds",
    "garbage collection": "Python's garbage was collected inside rounds",
    DRIFT: "the machine's speed differed between cells",
}
"""Each kind that disturbs times, without the figures of a cell."""


def kind_of(line: str) -> str:
    """The kind of noise that a line of ``noise.told`` is about; "" for other lines."""
    return next((kind for kind, begins in LINES.items() if re.match(begins, line)), "")


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
