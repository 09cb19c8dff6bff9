"""FLOPs against length: how the work grows, and what any exact decoder must do."""

from __future__ import annotations

import matplotlib as mpl
from matplotlib.figure import Figure

from .style import RC, new_figure, plain_log, powers_of_two
from .view import View, exponent


def figure(view: View) -> Figure | None:
    """Executed FLOPs of each strategy and the necessary ones; for a single case, FLOPs of each step against k."""
    column, label = view.axis
    title, rows = view.panels[-1]
    foot = view.foot + (f" {title[0].upper() + title[1:]}." if title else "")
    if rows[column].nunique() < 2:
        return _by_step(view, foot)
    last = rows[rows[column] == rows[column].max()]
    worst = last.sort_values("flops_waste").iloc[-1]
    message = f"At {view.at(worst[column])}, {worst['strategy']} computes {worst['flops_waste']:.2g}x what is necessary"
    drawn, (axes,) = new_figure(message, f"{foot} FLOPs of matrix products, by formula and equal to the record.")
    with mpl.rc_context(RC):
        for strategy in view.strategies:
            mine = rows[rows["strategy"] == strategy].sort_values(column)
            power = exponent(mine[column], mine["executed_flops"])
            text = f"{view.name(strategy)}: x^{power:.2f}"
            axes.plot(mine[column], mine["executed_flops"] / 1e9, label=text, **view.looks[strategy].line())
        floor = rows.drop_duplicates(column).sort_values(column)
        power = exponent(floor[column], floor["necessary_flops"])
        axes.plot(
            floor[column],
            floor["necessary_flops"] / 1e9,
            color="black",
            linestyle=":",
            label=f"necessary: x^{power:.2f}",
        )
        powers_of_two(axes, rows[column])
        plain_log(axes)
        axes.set_xlabel(label)
        axes.set_ylabel("FLOPs of the whole batch (10^9)")
        axes.legend(title="growth over these lengths", alignment="left", loc="upper left", handlelength=3.2)
    return drawn


def _by_step(view: View, foot: str) -> Figure | None:
    steps = view.steps
    if steps.empty:
        return None
    last = steps[steps["k"] == steps["k"].max()].sort_values("flops")
    high, low = last.iloc[-1], last.iloc[0]
    message = (
        f"At the last step {high['strategy']} computes {high['flops'] / low['flops']:.3g}x what {low['strategy']} does"
    )
    drawn, (axes,) = new_figure(message, f"{foot} FLOPs of matrix products, by formula and equal to the record.")
    with mpl.rc_context(RC):
        for strategy in view.strategies:
            mine = steps[steps["strategy"] == strategy]
            every = max(1, len(mine) // 8)
            axes.plot(
                mine["k"],
                mine["flops"] / 1e6,
                label=view.name(strategy),
                markevery=every,
                **view.looks[strategy].line(),
            )
        plain_log(axes)
        axes.set_xlabel("keys attended at the step, k")
        axes.set_ylabel("FLOPs of the step (10^6)")
        axes.legend(loc="upper left", handlelength=3.2)
    return drawn
