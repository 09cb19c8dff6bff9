"""The chart of roles: where the FLOPs and bytes of decoding go, as shares of each strategy's own total."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ...plots.roles import GROUPS, OTHER, PANELS, longest, message, totals_of
from ...plots.view import View
from ...words.quantity import percent, quantity
from .chart import Chart, base_of, finished


def charts(view: View) -> list[Chart]:
    """Make the one chart, of the cell that ``longest`` selects; none if the run has no table of roles."""
    sums = longest(view)
    if sums.empty:
        return []
    case, name = sums.iloc[0], f"roles{view.suffix}"
    shown = [group for group in (*GROUPS, OTHER) if group.label in set(sums["group"])]
    order = {group.label: place for place, group in enumerate(shown)}
    looks = {view.name(s): view.looks[s] for s in view.strategies if s in set(sums["strategy"])}
    records = [
        {
            "panel": title,
            "label": view.name(strategy),
            "part": part,
            "order": order[str(part)],
            "x": 100 * amount / total,
            "text": f"{quantity(amount, unit)} of {quantity(total, unit)}",
        }
        for (column, title, unit), table in zip(PANELS, totals_of(sums).values(), strict=True)
        for strategy, amounts in table.iterrows()
        for total in [amounts.sum()]
        for part, amount in amounts.items()
        if amount
    ]
    data = pd.DataFrame(records)
    color = alt.Color(
        "part:N",
        scale=alt.Scale(domain=list(order), range=[group.color for group in shown]),
        legend=None,  # the page shows one in HTML, which wraps on a narrow screen
    )
    hover = [
        alt.Tooltip("label:N", title="strategy"),
        alt.Tooltip("part:N", title="part"),
        alt.Tooltip("x:Q", title="share (%)", format=".3~g"),
        alt.Tooltip("text:N", title="amount"),
    ]
    chart = base_of(data, looks).mark_bar(aria=False, stroke="white", strokeWidth=0.5)
    drawn = chart.encode(
        y=alt.Y("label:N", sort=list(looks), axis=alt.Axis(title=None, labelLimit=160)),
        x=alt.X("x:Q", scale=alt.Scale(domain=[0, 100]), axis=alt.Axis(title="share of its own total (%)")),
        color=color,
        order="order:Q",
        tooltip=hover,
    )
    top = data[data["panel"] == PANELS[0][1]].sort_values("x").groupby("label", sort=False).last()
    parts = "; ".join(f"{label} most on {row['part']} ({percent(row['x'] / 100)})" for label, row in top.iterrows())
    told = f"{message(view)}. FLOPs: {parts}."
    spec = finished(drawn, name, data, looks, told, height=60 + 34 * len(looks), panel=PANELS[0][1])
    colors = {group.label: group.color for group in shown}
    foot = (
        f"{view.foot} {view.sizes(case)} Decode "
        "steps only. FLOPs of matrix products, bytes of weights and K/V, by formula."
    )
    return [Chart(name, message(view), told, foot, "roles.csv", looks, spec, parts=colors)]
