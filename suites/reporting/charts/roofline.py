"""The chart of the roofline: each strategy in prefill and in decode, under the ceilings of the machine."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from ...plots.placed import case_of, points_of, roof_of
from ...plots.roofline import DECADE, WIDEST, foot, message
from ...plots.view import View
from ...words.quantity import percent
from .axis import PADDING_PX
from .chart import Chart, base_of, finished
from .encodings import encodings


def charts(view: View) -> list[Chart]:
    """Make the one chart; none if the run has no ceilings, or no strategy with known figures."""
    rows = case_of(view)
    if rows is None:
        return []
    (read, gemm), points = roof_of(rows), points_of(rows)
    if not points:
        return []
    looks = {view.name(p.strategy): view.looks[p.strategy] for p in points}
    reached = dict(zip(rows["strategy"], rows["floor_fraction"], strict=True))
    data = pd.DataFrame(
        [
            {
                "panel": "",
                "label": view.name(p.strategy),
                "phase": p.phase,
                "x": p.intensity,
                "y": p.flops_per_s,
                "limit": min(p.intensity * read.median, gemm.median) if p.phase == "decode" else np.nan,
                "reached": f"{percent(reached[p.strategy])} of the limit" if p.phase == "decode" else "",
            }
            for p in points
        ]
    )
    ridge = gemm.median / read.median
    x_N = np.geomspace(min([ridge / DECADE, *data["x"]]) / 2, max([ridge * DECADE, *data["x"]]) * 2, 60)
    ends = {end: np.minimum(x_N * getattr(read, end), getattr(gemm, end)) for end in ("low", "median", "high")}
    roof = [{"x": float(x), **{end: float(values[i]) for end, values in ends.items()}} for i, x in enumerate(x_N)]
    axes = {
        "x": alt.X("x:Q", scale=alt.Scale(type="log", nice=False, domain=[float(x_N[0]), float(x_N[-1])]),
                   axis=alt.Axis(title="arithmetic intensity (FLOPs / byte)", tickCount=6, format="~g")),
    }  # fmt: skip
    scale, ticks = (
        alt.Scale(type="log", nice=False, padding=PADDING_PX),
        alt.Axis(title="achieved (GFLOP/s)", tickCount=6, format="~g"),
    )
    line = alt.Chart(alt.InlineData(values=roof))
    bands = [
        line.mark_line(strokeWidth=1, strokeDash=[2, 3], color="#999999", aria=False).encode(
            **axes, y=alt.Y(f"{end}:Q", scale=scale, axis=ticks)
        )
        for end in ("low", "high")
    ]
    bottom, top = min([*ends["low"], *data["y"]]), max([*ends["high"], *data["y"]])
    if np.log(ends["high"] / ends["low"]).max() <= WIDEST * np.log(top / bottom):
        filled = line.mark_area(opacity=0.3, color="#999999", aria=False)
        bands = [filled.encode(**axes, y=alt.Y("low:Q", scale=scale, axis=ticks), y2="high:Q")]
    edge = line.mark_line(color="#777777", aria=False).encode(**axes, y=alt.Y("median:Q", scale=scale, axis=ticks))
    name = f"roofline{view.suffix}"
    color, _, shape = encodings(looks)
    drops = (
        base_of(data, looks)
        .transform_filter("datum.limit > 0")
        .mark_rule(strokeDash=[2, 3], strokeWidth=1.5, aria=False)
        .encode(**axes, y=alt.Y("y:Q", scale=scale, axis=ticks), y2="limit:Q", color=color)
    )
    dots = (
        base_of(data, looks)
        .mark_point(size=90, strokeWidth=2, aria=False)
        .encode(
            **axes,
            y=alt.Y("y:Q", scale=scale, axis=ticks),
            color=color,
            shape=shape,
            fillOpacity=alt.condition("datum.phase === 'decode'", alt.value(1), alt.value(0)),
            fill=color,
            tooltip=[
                alt.Tooltip("label:N", title="strategy"),
                alt.Tooltip("phase:N"),
                alt.Tooltip("x:Q", title="FLOPs / byte", format=".3~g"),
                alt.Tooltip("y:Q", title="GFLOP/s", format=".3~g"),
                alt.Tooltip("reached:N", title="reaches"),
            ],
        )
    )
    alt_text = (
        f"{message(view)}. The machine reads {read.median:.3g} GB/s and multiplies at {gemm.median:.3g} GFLOP/s. "
        + "; ".join(
            f"{view.name(p.strategy)} {p.phase} {p.flops_per_s:.3g} GFLOP/s"
            + (f", {percent(reached[p.strategy])} of its limit" if p.phase == "decode" else "")
            for p in points
        )
        + "."
    )
    spec = finished(alt.layer(*bands, edge, drops, dots), name, data, looks, alt_text)
    told = f"{foot(view, rows)} Full: decode, joined to its limit; hollow: prefill."
    return [Chart(name, message(view), alt_text, told, "table.csv", looks, spec)]
