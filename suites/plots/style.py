"""How every plot looks: one colour, marker and dash a strategy, units on axes, and a title that says what is seen."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, NullFormatter, NullLocator

# Okabe and Ito's palette keeps apart under the common kinds of colour blindness; dashes and markers keep apart in grey.
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
RC: Any = {
    "font.size": 9.5,
    "axes.titlesize": 10.5,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "grid.color": "#DDDDDD",
    "grid.linewidth": 0.6,
    "axes.axisbelow": True,
    "lines.linewidth": 1.8,
    "lines.markersize": 5,
    "legend.frameon": False,
    "legend.fontsize": 8.5,
    "figure.dpi": 160,
    "svg.hashsalt": "decodebench",
    "svg.fonttype": "none",
}


LEGEND: dict[str, Any] = {
    "loc": "upper left",
    "handlelength": 3.0,
    "borderaxespad": 0.2,
    "fontsize": 7.8,
    "title_fontsize": 7.8,
}


@dataclass(frozen=True)
class Look:
    """Of one strategy."""

    color: str
    marker: str
    linestyle: Any

    def line(self) -> dict[str, Any]:
        """Arguments for ``Axes.plot``."""
        return {"color": self.color, "marker": self.marker, "linestyle": self.linestyle}


def looks(strategies: Iterable[str]) -> dict[str, Look]:
    """A look for each strategy, in the order given; the core four always have the same."""
    others = iter(_OTHERS * 20)
    return {name: Look(*(_CORE[name] if name in _CORE else next(others))) for name in dict.fromkeys(strategies)}


def new_figure(title: str, subtitle: str, panels: int = 1, height: float = 3.9) -> tuple[Figure, list[Axes]]:
    """A figure as wide as a README, its message on top, with ``panels`` axes side by side."""
    with mpl.rc_context(RC):
        figure = Figure(figsize=(7.4, height), layout="constrained")
        axes = figure.subplots(1, panels, squeeze=False)[0].tolist()
        figure.suptitle(title, x=0.012, ha="left", fontsize=11.5, fontweight="bold", wrap=True)
        figure.supxlabel(subtitle, x=0.012, ha="left", fontsize=7.5, color="#555555")
    return figure, axes


def save(figure: Figure, folder: Path, name: str) -> list[Path]:
    """``name``.png and .svg in ``folder``; no date inside, so that equal tables give equal files."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with mpl.rc_context(RC):
        for kind, metadata in (("png", {"Software": None}), ("svg", {"Date": None, "Creator": "decodebench"})):
            path = folder / f"{name}.{kind}"
            figure.savefig(path, format=kind, metadata=metadata, facecolor="white")
            paths.append(path)
    return paths


def powers_of_two(axes: Axes, values: Iterable[float]) -> None:
    """A logarithmic x axis whose ticks are the values that were measured."""
    ticks = sorted(set(values))
    axes.set_xscale("log", base=2)
    axes.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.xaxis.set_minor_locator(NullLocator())


def plain_log(axes: Axes) -> None:
    """A logarithmic y axis with plain numbers, also between powers of ten where the range is small."""
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    if high / low > 30:
        axes.yaxis.set_minor_formatter(NullFormatter())
    else:
        axes.yaxis.set_minor_formatter(FuncFormatter(lambda v, _: f"{v:g}" if str(f"{v:e}")[0] in "1235" else ""))


def headroom(axes: Axes, decades: float) -> None:
    """Room above the curves of a logarithmic axis for a legend: ``decades`` tenths of its height, roughly."""
    low, high = axes.get_ylim()
    axes.set_ylim(low, high * (high / low) ** (decades / 4))
