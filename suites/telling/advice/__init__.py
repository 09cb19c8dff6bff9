"""The advice of a run: sentences on what to use, what it saves, where time goes and what fits, from the table alone."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from . import approximate, choice, crossover, memory, saving, step
from .rows import timed
from .section import Section

__all__ = ["Section", "advise"]

PARTS: tuple[Callable[[pd.DataFrame], list[Section]], ...] = (
    choice.sections,
    approximate.sections,
    saving.sections,
    crossover.sections,
    step.sections,
    memory.sections,
)
"""What makes each part of the advice, in the order in which a reader asks."""


def advise(rows: pd.DataFrame) -> list[Section]:
    """Advise on one model on one kind of hardware, whose cases are ``rows``. What is not known is left out."""
    known = timed(rows)
    return [section for part in PARTS for section in part(known)] if len(known) else []
