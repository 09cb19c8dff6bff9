"""Colours of every plot: a colour, a marker and a dash for each strategy, and a palette of its own for parts of work.

No colour is in both palettes, so that a colour names either a strategy or a part of its work, never both. Across the
two, and between parts, colours differ by 15 or more in CIE Lab, also as people with red-green blindness see them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The colours of Okabe and Ito differ under the common kinds of colour blindness too; dashes and markers differ in grey.
_CORE = {
    "full_recompute": ("#D55E00", "o", "-"),
    "cross_kv": ("#E69F00", "s", (0, (5, 1))),
    "contiguous_kv": ("#0072B2", "^", "-"),
    "static_kv": ("#009E73", "D", (0, (4, 1, 1, 1))),
}
_OTHERS = [
    (colour, marker, dash)
    for dash in ((0, (2, 1)), (0, (6, 1, 1, 1, 1, 1)))
    for colour, marker in (("#CC79A7", "v"), ("#56B4E9", "P"), ("#000000", "X"), ("#7F7F7F", "*"), ("#8C564B", "<"))
]

PARTS = {
    "self": "#332288",
    "append": "#6F175E",
    "reordering": "#5A5AF0",
    "self attention": "#D0D4FA",
    "cross": "#CA9C55",
    "cross K/V": "#7F4817",
    "cross attention": "#EFE56A",
    "feed-forward": "#A9E8B0",
    "LM head": "#C9C9C9",
    "other": "#60333F",
}
"""Colours of the parts of a decoder: self-attention is indigo to lilac, cross-attention brown to yellow."""
STEP_PARTS = {"bytes": "#332288", "FLOPs": "#CA9C55", "dispatch": "#A9E8B0", "kernels": "#C9C9C9"}
"""Colours of what a decode step waits for (``ceilings.step_parts``). They are colours of ``PARTS``."""


@dataclass(frozen=True)
class Look:
    """Colour, marker and dash of one strategy."""

    color: str
    marker: str
    linestyle: Any

    def line(self) -> dict[str, Any]:
        """Arguments for ``Axes.plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.linestyle}


NOT_DRAWN = Look("#999999", "x", "none")


def looks(strategies: Iterable[str]) -> dict[str, Look]:
    """Map each strategy to its look, in the order given. The four core strategies always have the same looks."""
    others = iter(_OTHERS * 20)
    return {name: Look(*(_CORE[name] if name in _CORE else next(others))) for name in dict.fromkeys(strategies)}
