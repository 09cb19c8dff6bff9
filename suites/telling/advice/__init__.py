"""What an engineer came for, in sentences, from rows of the table alone."""

from __future__ import annotations

from collections.abc import Callable

import pandas as pd

from . import choice, crossover, memory, saving, step
from .answer import answer
from .rows import timed
from .section import Section

__all__ = ["Section", "advise", "answer"]

PARTS: tuple[Callable[[pd.DataFrame], list[Section]], ...] = (
    choice.sections,
    saving.sections,
    crossover.sections,
    step.sections,
    memory.sections,
)
"""In the order in which they are asked."""


def advise(rows: pd.DataFrame) -> list[Section]:
    """Of one model on one device: rows of the table with what they share. What nothing is known of is absent."""
    known = timed(rows)
    return [section for part in PARTS for section in part(known)] if len(known) else []
