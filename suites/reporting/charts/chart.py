"""The type of a chart, and the kinds that the report draws: curves and bars, whose strategies the legend switches."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from ...plots.looks import Look
from ...plots.panels import left_out
from ...plots.view import View
from .axis import Axis, names_axis
from .encodings import encodings

POINTS_MAX = 200
"""Greatest number of points of one curve; longer curves are thinned."""
PANELS_MAX = 12
"""Greatest number of batches, or of what else divides a run into panels, among which the reader chooses."""
HEIGHT_PX = 300
TEXT_PX = 12
FONT = "sans-serif"
EDGE = "#ffffff"
"""Colour around marks that lie on bars of any colour, also of their own."""
FILLED = alt.condition("datum.hollow", alt.value(0), alt.value(1))
ROWS = "rows"
"""Name of a chart's data in its specification."""


@dataclass(frozen=True)
class Chart:
    """A Vega-Lite specification, and the text around it.

    ``message`` is the title, which says what is seen, and ``alt`` the text for those who cannot see the chart.
    ``numbers`` is the file of the run folder that holds the data. ``looks`` maps the label of each curve to its look.
    ``hover`` are the titles of the axes, where a rule under the pointer tells the values. ``parts`` maps what bars are
    divided into to colours.
    """

    name: str
    message: str
    alt: str
    foot: str
    numbers: str
    looks: Mapping[str, Look]
    spec: dict[str, Any]
    hover: tuple[str, str] | None = None
    parts: Mapping[str, str] = field(default_factory=dict)

    @property
    def several(self) -> bool:
        """Whether the chart has several panels, of which the reader chooses one."""
        return any(param["name"] == "panel" for param in self.spec["params"])

    @property
    def about(self) -> dict[str, Any]:
        """What the page's script must know beside the specification: labels and colours, and titles for the rule."""
        colors = ["var(--ink)" if look.color == "#000000" else look.color for look in self.looks.values()]
        titles = dict(zip("xy", self.hover, strict=True)) if self.hover else {}
        return {"labels": list(self.looks), "colors": colors, **titles}


def thinned(rows: pd.DataFrame, most: int = POINTS_MAX) -> pd.DataFrame:
    """Select at most ``most`` rows, evenly spaced, among them the first and the last.

    >>> thinned(pd.DataFrame({"k": range(1000)}), 3)["k"].tolist()
    [0, 500, 999]
    """
    if len(rows) <= most:
        return rows
    return rows.iloc[np.linspace(0, len(rows) - 1, most).round().astype(int)]


def spread(panels: Sequence[Any], most: int = PANELS_MAX) -> list[Any]:
    """Select at most ``most`` panels, evenly spaced, among them the first and the last.

    >>> spread(list(range(5)), 2)
    [0, 4]
    """
    if len(panels) <= most:
        return list(panels)
    return [panels[round(i)] for i in np.linspace(0, len(panels) - 1, most)]


def panels_of(view: View) -> tuple[list[tuple[str, pd.DataFrame]], str]:
    """The panels of a view that a chart offers, and the sentence that says so where it leaves some out."""
    every = view.every_panel
    shown = spread(every)
    return shown, left_out(len(shown), len(every), view.panel_kind)


def curves(
    name: str,
    data: pd.DataFrame,
    looks: Mapping[str, Look],
    x: Axis,
    y: Axis,
    description: str,
    points: bool = True,
) -> dict[str, Any]:
    """Make the specification of one curve per label of ``looks``, with a band if ``data`` has low and high.

    ``data`` has the columns panel, label, x, y and perhaps low and high. One panel is shown at a time, the last one
    first. ``description`` is the text alternative; ``points`` draws a point at each value, hollow where the column
    ``hollow`` says so.
    """
    shown = data.dropna(subset=["x", "y"])
    if y.log:
        shown = shown[shown["y"] > 0]
    base = base_of(shown, looks)
    color, dash, shape = encodings(looks)
    place = {
        "x": alt.X("x:Q", scale=x.scale(shown["x"]), axis=x.drawn()),
        "y": alt.Y("y:Q", scale=y.scale(shown["y"]), axis=y.drawn()),
    }
    layers, clip = [], y.top is not None or y.bottom is not None
    if "low" in shown:
        ends = place | {"y": alt.Y("low:Q", scale=y.scale(shown["y"]), axis=y.drawn()), "y2": alt.Y2("high:Q")}
        layers.append(base.mark_area(opacity=0.2, aria=False, clip=clip).encode(**ends, color=color))
    layers.append(base.mark_line(strokeWidth=2, aria=False, clip=clip).encode(**place, color=color, strokeDash=dash))
    if points:
        dots = base.mark_point(size=60, opacity=1, strokeWidth=2, aria=False)
        layers.append(dots.encode(**place, color=color, shape=shape, fill=color, fillOpacity=FILLED))
    return finished(alt.layer(*layers), name, shown, looks, description)


def bars(name: str, data: pd.DataFrame, looks: Mapping[str, Look], x: Axis, description: str) -> dict[str, Any]:
    """Make the specification of one bar per label, its figure at the end.

    ``data`` has the columns panel, label, x, text, and perhaps low and high, between which a whisker is drawn.
    """
    shown = data.dropna(subset=["x"])
    whiskers = "high" in shown
    ends = shown[["x", "high"]].max(axis=1) if whiskers else shown["x"]
    shown = shown.assign(end=ends)
    base = base_of(shown, looks)
    color, _, _ = encodings(looks)
    y = alt.Y("label:N", sort=list(looks), axis=names_axis())
    # Room for the figures at the ends of the bars, which begin at 0.
    scale = alt.Scale(domain=[0, 1.4 * float(ends.max()) or 1.0], nice=False)
    length = alt.X("x:Q", axis=x.drawn(), scale=scale)
    hover = [alt.Tooltip("label:N", title="strategy"), alt.Tooltip("text:N", title=x.title)]
    bar = base.mark_bar(aria=False).encode(y=y, x=length, color=color, tooltip=hover)
    layers = [bar]
    if whiskers:
        reach = alt.X("low:Q", axis=x.drawn(), scale=scale)
        for ink, width in ((EDGE, 4), ("#111111", 1.5)):
            whisker = base.mark_rule(strokeWidth=width, aria=False, color=ink)
            layers.append(whisker.encode(y=y, x=reach, x2="high:Q"))
    at = alt.X("end:Q", axis=x.drawn(), scale=scale)
    layers.append(base.mark_text(align="left", dx=4, aria=False).encode(y=y, x=at, text="text:N"))
    return finished(alt.layer(*layers), name, shown, looks, description, height=40 + 34 * len(looks))


def base_of(data: pd.DataFrame, looks: Mapping[str, Look]) -> alt.Chart:
    """A chart of the rows that ``finished`` adds to the specification, filtered by the switches and the panel."""
    switches = ",".join(f"show_{i}" for i in range(len(looks)))
    chart = alt.Chart(alt.NamedData(name=ROWS)).transform_filter(f"[{switches}][datum.i]")
    return chart.transform_filter("datum.panel === panel") if data["panel"].nunique() > 1 else chart


def finished(
    chart: Any,
    name: str,
    data: pd.DataFrame,
    looks: Mapping[str, Look],
    description: str,
    height: int = HEIGHT_PX,
    panel: str = "",
) -> dict[str, Any]:
    """Complete a specification: add the data, a switch per label, and a choice of panels if there are several.

    ``panel`` is the one that is shown first, by default the last.
    """
    switches = [alt.param(name=f"show_{i}", value=True) for i in range(len(looks))]
    panels = list(dict.fromkeys(data["panel"]))
    if len(panels) > 1:
        choice = alt.binding_select(options=panels, name="shown", element=f"#{name}-panel")
        switches.append(alt.param(name="panel", value=panel or panels[-1], bind=choice))
    done = chart.add_params(*switches).properties(
        width="container",
        height=height,
        description=description,
        autosize=alt.AutoSizeParams(type="fit-x", contains="padding"),
    )
    sized = done.configure(
        background="transparent",
        font=FONT,
        axis={"labelFontSize": TEXT_PX, "titleFontSize": TEXT_PX + 1},
        legend={"labelFontSize": TEXT_PX, "titleFontSize": TEXT_PX},
        text={"fontSize": TEXT_PX},
    )
    spec: dict[str, Any] = sized.to_dict(validate=False)
    spec.pop("$schema", None)
    place = {label: i for i, label in enumerate(looks)}
    rows = data.assign(i=[place[label] for label in data["label"]]).to_dict("records")
    spec["datasets"] = spec.get("datasets", {}) | {ROWS: [{key: _plain(row[key]) for key in row} for row in rows]}
    return spec


def _plain(value: Any) -> Any:
    """Convert a value for JSON, with six digits; NaN becomes None."""
    if isinstance(value, str):
        return value
    number = float(value)
    return None if math.isnan(number) else int(number) if number.is_integer() else float(f"{number:.6g}")
