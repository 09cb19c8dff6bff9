"""The chart of two runs: how each ratio to the baseline changed."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ...plots.comparison import message, named
from ...plots.looks import looks as looks_of
from ...telling.advice.rows import place_of
from ..numbers import varying
from .chart import Chart, base_of, finished
from .encodings import encodings


def charts(found: pd.DataFrame, margin: float) -> list[Chart]:
    """Make the one chart; none if the runs share no ratio. ``margin`` is a share: 0.05 for 5 %."""
    ratios = found[found["kind"] == "ratio"]
    if ratios.empty:
        return []
    names = named(found)
    looks = {names[strategy]: look for strategy, look in looks_of(ratios["strategy"]).items()}
    settings = [column.source for column in varying(ratios)]
    cases = [
        ", ".join([*(f"{row[name]} {name}" if name in ("threads", "seed") else str(row[name]) for name in settings),
                   place_of(row)])
        for row in ratios.to_dict("records")
    ]  # fmt: skip
    data = pd.DataFrame(
        {
            "panel": "",
            "label": ratios["strategy"].map(names),
            "case": cases,
            "x": ratios["change"],
            "low": ratios["change_low"].fillna(ratios["change"]),
            "high": ratios["change_high"].fillna(ratios["change"]),
            "verdict": ratios["verdict"],
        }
    )
    color, _, shape = encodings(looks)
    base = base_of(data, looks)
    scale, title = alt.Scale(type="log", nice=False, padding=12), "change of the ratio (second run / first run)"
    y = alt.Y("case:N", sort=list(dict.fromkeys(cases)), axis=alt.Axis(title=None, labelLimit=260))
    apart = alt.YOffset("label:N", sort=list(looks))
    hover = [
        alt.Tooltip("case:N"),
        alt.Tooltip("label:N", title="strategy"),
        alt.Tooltip("x:Q", title="change", format=".4~g"),
        alt.Tooltip("low:Q", format=".4~g"),
        alt.Tooltip("high:Q", format=".4~g"),
        alt.Tooltip("verdict:N"),
    ]
    bars = base.mark_rule(strokeWidth=2, aria=False).encode(
        x=alt.X("low:Q", scale=scale, axis=alt.Axis(title=title, tickCount=6)),
        x2="high:Q",
        y=y,
        yOffset=apart,
        color=color,
    )
    dots = base.mark_point(filled=True, size=70, aria=False).encode(
        x=alt.X("x:Q", scale=scale), y=y, yOffset=apart, color=color, shape=shape, tooltip=hover
    )
    one = alt.Chart(alt.InlineData(values=[{"x": 1}])).mark_rule(color="#000000", aria=False).encode(x="x:Q")
    said = message(found, margin)
    told = f"{said}. " + "; ".join(
        f"{row.label} in {row.case}: {row.x:.3g}, {row.verdict}" for row in data.itertuples()
    )
    height = 60 + 22 * len(looks) * len(set(cases))
    spec = finished(alt.layer(one, bars, dots), "change", data, looks, told, height)
    foot = "Ratio to the baseline in the second run over that in the first; 95 % intervals, unpaired."
    return [Chart("change", said, told, foot, "compare.csv", looks, spec)]
