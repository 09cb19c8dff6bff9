"""Plots of a run, drawn from its tables, and from raw rounds where they are kept.

Each file draws one figure, whose title is its message.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..store.cell_folder import read_rounds
from ..store.files import lost
from ..store.schema import read_environment
from ..words.labels import plain
from . import (
    approximate,
    flops,
    loss,
    memory,
    quality,
    roles,
    roofline,
    rounds,
    step_latency,
    totals,
    tradeoff,
    winners,
)
from .style import extend_title, save
from .view import View
from .views import views

FIGURES = (totals, winners, quality, approximate, loss, step_latency, tradeoff, flops, memory, roles, roofline, rounds)

__all__ = ["draw", "machine_of", "views_of"]


def draw(
    run_dir: Path,
    table: pd.DataFrame,
    steps: pd.DataFrame,
    role_sums: pd.DataFrame | None = None,
    tell: Callable[[str], object] | None = None,
) -> list[Path]:
    """Write every figure as PNG and SVG, for each group of cells (``columns.GROUP``); return the paths of the PNGs.

    The figure of rounds needs the raw rounds of the last cell; it is left out where the folder does not have them.
    ``role_sums`` is the table of roles. Without it, as in folders of earlier versions, there is no figure of roles. If
    a figure cannot be drawn, ``tell`` is given a sentence that says so and the others are drawn; without ``tell`` the
    exception is raised. An OSError is always raised.
    """
    written = []
    for view in views_of(run_dir, table, steps, role_sums):
        for module in FIGURES:
            name = module.__name__.rpartition(".")[2]
            for kind, part in view.by_execution() if module is totals else [("", view)]:
                file = name + kind + view.suffix
                try:
                    figure = module.figure(part)
                    if figure is not None and view.hardware:
                        extend_title(figure, view.hardware)
                    if figure is not None:
                        written += save(figure, run_dir / "plots", file)
                except Exception as error:  # a library may raise anything for numbers that it cannot draw
                    if tell is None or isinstance(error, OSError):
                        raise
                    tell(lost(run_dir / "plots" / f"{file}.error.txt", f"the plot {file}", error))
    return [path for path in written if path.suffix == ".png"]


def views_of(
    run_dir: Path, table: pd.DataFrame, steps: pd.DataFrame, role_sums: pd.DataFrame | None, swept: bool = True
) -> Iterator[View]:
    """Yield the views of a run folder's tables, with the rounds of their last cells where the folder has them.

    Without ``swept``, views of several cells have no rounds, which only the figure of rounds shows. Raises ResultsError
    if a file is damaged.
    """
    for view in views(table, steps, machine_of(run_dir), role_sums):
        wanted = swept or not view.is_swept
        yield replace(view, timed=read_rounds(run_dir, str(view.last_rows["cell"].iloc[0]))) if wanted else view


def machine_of(run_dir: Path) -> dict[str, str]:
    """Map each device to its name, if the run recorded it. Raises ResultsError if environment.json is damaged."""
    kept = read_environment(run_dir)
    names = {"cpu": kept.get("cpu"), "cuda": (kept.get("gpu") or {}).get("name")}
    return {device: plain(name) for device, name in names.items() if name}
