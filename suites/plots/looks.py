"""The look of each strategy in every plot: a colour, a marker and a dash."""

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
