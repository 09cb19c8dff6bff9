"""Which panels a plot shows, where it cannot show them all."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

MOST_PANELS = 4
"""Greatest number of panels of a plot that shows them all."""
Panel = TypeVar("Panel")


def first_middle_last(panels: Sequence[Panel]) -> list[Panel]:
    """Select the first, a middle and the last, without repetition.

    >>> first_middle_last("abcde"), first_middle_last("ab")
    (['a', 'c', 'e'], ['a', 'b'])
    """
    return [panels[i] for i in sorted({0, len(panels) // 2, len(panels) - 1})]


def left_out(shown: int, every: int, kind: str) -> str:
    """Sentence for the foot of a plot that does not show every panel; "" if it does. ``kind`` names the panels.

    >>> left_out(3, 5, "batches"), left_out(5, 5, "batches")
    (' 3 of 5 batches are shown.', '')
    """
    return f" {shown} of {every} {kind} are shown." if shown < every else ""


def shown_of(panels: Sequence[Panel]) -> list[Panel]:
    """All panels or, of more than ``MOST_PANELS``, the first, a middle and the last."""
    return list(panels) if len(panels) <= MOST_PANELS else first_middle_last(panels)
