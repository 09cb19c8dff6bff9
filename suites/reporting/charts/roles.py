"""The chart of roles: where the FLOPs and bytes of decoding go, as amounts, and as shares of each total."""

from __future__ import annotations

import altair as alt
import pandas as pd

from ...plots.roles import GROUPS, OTHER, PANELS, longest, message, scale_of, totals_of
from ...plots.view import View
from ...words.quantity import percent, quantity
from .axis import names_axis
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
    amounts, shares = list[pd.DataFrame](), list[pd.DataFrame]()
    for (_, title, unit), table in zip(PANELS, totals_of(sums).values(), strict=True):
        scale, scaled = scale_of(table, unit)
        drawn = pd.DataFrame(
            {
                "label": view.name(strategy),
                "part": part,
                "order": order[str(part)],
                "x": amount / scale,
                "share": amount / total,
                "text": f"{quantity(amount, unit)} of {quantity(total, unit)}, {percent(amount / total)}",
            }
            for strategy, mine in table.iterrows()
            for total in [mine.sum()]
            for part, amount in mine.items()
            if amount
        )
        amounts.append(drawn.assign(panel=f"{title}, in {scaled}"))
        shares.append(drawn.assign(panel=f"{title}: share of each strategy's own total (%)", x=100 * drawn["share"]))
    data = pd.concat([*amounts, *shares])
    color = alt.Color(
        "part:N",
        scale=alt.Scale(domain=list(order), range=[group.color for group in shown]),
        legend=None,  # the page shows one in HTML, which wraps on a narrow screen
    )
    hover = [
        alt.Tooltip("label:N", title="strategy"),
        alt.Tooltip("part:N", title="part"),
        alt.Tooltip("text:N", title="amount"),
    ]
    chart = base_of(data, looks).mark_bar(aria=False, stroke="white", strokeWidth=0.5)
    drawn = chart.encode(
        y=alt.Y("label:N", sort=list(looks), axis=names_axis()),
        # The choice of the reader names the unit.
        x=alt.X("x:Q", scale=alt.Scale(zero=True, nice=False), axis=alt.Axis(title=None, tickCount=6)),
        color=color,
        order="order:Q",
        tooltip=hover,
    )
    top = amounts[0].sort_values("x").groupby("label", sort=False).last()
    parts = "; ".join(f"{label} most on {row['part']} ({percent(row['share'])})" for label, row in top.iterrows())
    told = f"{message(view)}. FLOPs: {parts}."
    spec = finished(drawn, name, data, looks, told, height=60 + 34 * len(looks), panel=data["panel"].iloc[0])
    colors = {group.label: group.color for group in shown}
    foot = (
        f"{view.foot} {view.sizes(case)} Decode "
        "steps only. FLOPs of matrix products, bytes of weights and K/V, by formula."
    )
    return [Chart(name, message(view), told, foot, "roles.csv", looks, spec, parts=colors)]
