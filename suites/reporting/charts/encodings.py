"""The look of a strategy in Vega's terms: colour, dash and shape."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import altair as alt

from ...plots.looks import Look

SYMBOLS = {
    "o": "circle", "s": "square", "^": "triangle-up", "D": "diamond", "v": "triangle-down", "P": "cross",
    "<": "triangle-left", "X": "M-1,-1L1,1M1,-1L-1,1", "*": "triangle-right", "x": "cross", "": "circle",
}  # fmt: skip
"""Marker in matplotlib -> symbol in Vega."""


def encodings(looks: Mapping[str, Look]) -> tuple[alt.Color, alt.StrokeDash, alt.Shape]:
    """Encode the label as colour, dash and shape. There is no legend, since the checkboxes are one."""

    def scale(values: Iterable[Any]) -> alt.Scale:
        return alt.Scale(domain=list(looks), range=list(values))

    every = looks.values()
    return (
        alt.Color("label:N", scale=scale(look.color for look in every), legend=None),
        alt.StrokeDash("label:N", scale=scale(map(dash_of, every)), legend=None),
        alt.Shape("label:N", scale=scale(SYMBOLS[look.marker] for look in every), legend=None),
    )


def dash_of(look: Look) -> list[float]:
    """Convert the dash of a look to lengths in pixels, as in SVG.

    >>> dash_of(Look("red", "o", "-")), dash_of(Look("red", "o", (0, (5, 1))))
    ([1, 0], [10, 2])
    """
    named: dict[str, list[float]] = {"-": [1, 0], ":": [2, 3], "none": [1, 0]}
    return named[look.linestyle] if isinstance(look.linestyle, str) else [2 * part for part in look.linestyle[1]]
