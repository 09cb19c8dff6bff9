"""Swatches beside the boxes of a legend: the colour, dash and marker of each curve, as rules of a style sheet."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote

from ...plots.looks import Look

MARKS = {
    "o": "<circle cx='17' cy='6' r='4'/>",
    "s": "<path d='M13 2h8v8h-8z'/>",
    "^": "<path d='M17 1l5 9h-10z'/>",
    "v": "<path d='M17 11l5-9h-10z'/>",
    "D": "<path d='M17 0l5 6-5 6-5-6z'/>",
    "P": "<path d='M15 1h4v3h3v4h-3v3h-4v-3h-3v-4h3z'/>",
    "<": "<path d='M12 6l9-5v10z'/>",
    "*": "<path d='M22 6l-9-5v10z'/>",
    "X": "<path d='M13 2l8 8M21 2l-8 8'/>",
    "x": "<path d='M13 2l8 8M21 2l-8 8'/>",
}
"""Marker in matplotlib -> SVG shape in the middle of a swatch, which is 34 x 12 pixels."""


def swatches(name: str, looks: Mapping[str, Look], dashes: Mapping[str, list[float]]) -> str:
    """Write one rule per box of the legend whose id is ``name``, in their order.

    A black curve has the colour of the page's text, which is light in a dark theme.
    """
    rules = []
    for place, (label, look) in enumerate(looks.items(), 1):
        dash = " ".join(f"{part:g}" for part in dashes[label])
        line = f"<path d='M0 6h34' fill='none' stroke-dasharray='{dash}'/>"
        svg = (
            "<svg xmlns='http://www.w3.org/2000/svg' width='34' height='12' stroke='#000' stroke-width='2'>"
            f"{line}{MARKS.get(look.marker, '')}</svg>"
        )
        color = "var(--ink)" if look.color == "#000000" else look.color
        rules.append(
            f"#{name} label:nth-of-type({place}) .swatch"
            f'{{background:{color};mask-image:url("data:image/svg+xml,{quote(svg)}")}}'
        )
    return "".join(rules)
