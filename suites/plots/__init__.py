"""Plots of a run, drawn from its tables alone. Each file draws one figure; each has a message in its title."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pandas as pd

from ..store.files import lost
from ..store.schema import read_environment
from ..words.labels import plain
from . import flops, memory, roles, roofline, step_latency, totals
from .style import save
from .view import views

FIGURES = (totals, step_latency, flops, memory, roles, roofline)

__all__ = ["draw", "machine_of"]


def draw(
    run_dir: Path,
    table: pd.DataFrame,
    steps: pd.DataFrame,
    role_sums: pd.DataFrame | None = None,
    tell: Callable[[str], object] | None = None,
) -> list[Path]:
    """Write every figure, PNG and SVG, for each model, device and dtype; returns the PNGs' paths.

    Without ``role_sums`` (``role_table``, of which folders of earlier versions have none) there is no figure of roles.
    ``tell`` is given a sentence for a figure that could not be drawn, and the others are drawn; without it that raises.
    """
    written = []
    for view in views(table, steps, machine_of(run_dir), role_sums):
        for module in FIGURES:
            name = module.__name__.rpartition(".")[2]
            for kind, part in view.by_execution() if module is totals else [("", view)]:
                file = name + kind + view.suffix
                try:
                    figure = module.figure(part)
                    if figure is not None:
                        written += save(figure, run_dir / "plots", file)
                except Exception as error:  # whatever a library makes of these figures
                    if tell is None or isinstance(error, OSError):
                        raise
                    tell(lost(run_dir / "plots" / f"{file}.error.txt", f"the plot {file}", error))
    return [path for path in written if path.suffix == ".png"]


def machine_of(run_dir: Path) -> dict[str, str]:
    """Device -> its name, where the run kept it. Raises ResultsError."""
    kept = read_environment(run_dir)
    names = {"cpu": kept.get("cpu"), "cuda": (kept.get("gpu") or {}).get("name")}
    return {device: plain(name) for device, name in names.items() if name}
