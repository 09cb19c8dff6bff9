"""What may have spoiled the times of some rows of the table: the warnings of a run that are about these rows."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

import pandas as pd

from ..judging.disturbed import BRIEFLY, DRIFT, kind_of

CELLS = re.compile(r" \(in (\d+) of \d+ cells[^)]*\)")
"""What a line says where a run has several cells: how many of them have this kind of noise."""
LOAD = re.compile(r"(other processes used) (\S+ of \d+ cores)")
"""A figure that is the greatest of the run, so that no cell has more."""
SPEEDS = {"read memory": "calibration_read_gb_per_s", "multiplied matrices": "calibration_gemm_gflops_per_s"}
"""The column of the speed that a line about drift compares."""


def causes(rows: pd.DataFrame, noises: Sequence[str]) -> dict[str, str]:
    """Map each kind of noise in ``rows`` (``disturbed_by``) to what was wrong, in words; empty where nothing was.

    ``noises`` are the lines of ``judging.noise.told``, which tell the worst cell of the run. Their figures are told
    where that cell must be one of ``rows``; else the load as what it was at most, and of others none.
    """
    cells = rows.drop_duplicates("cell")
    counts = Counter(kind for text in cells["disturbed_by"] for kind in filter(None, str(text).split(", ")))
    return {kind: _cause(kind, count, cells, noises) for kind, count in counts.items()}


def _cause(kind: str, count: int, cells: pd.DataFrame, noises: Sequence[str]) -> str:
    lines = [line for line in noises if kind_of(line) == kind]
    own = [line for line in lines if _is_own(line, count, cells)]
    if own:
        return _without_remedy(own[0])
    load = next(filter(None, map(LOAD.match, lines)), None)
    return f"{load[1]} up to {load[2]}" if load else BRIEFLY.get(kind, kind)


def _is_own(line: str, count: int, cells: pd.DataFrame) -> bool:
    """Whether the figures of a line are of ``cells``, ``count`` of which have its kind of noise."""
    if kind_of(line) == DRIFT:
        speed = cells[next(column for did, column in SPEEDS.items() if did in line)]
        return f" {speed.max() / speed.min():.2f} times " in line
    found = CELLS.search(line)
    return found is None or int(found[1]) == count


def _without_remedy(line: str) -> str:
    """What was wrong, of a line that also says in how many cells, and what helps."""
    return CELLS.sub("", line.partition(": ")[0])
