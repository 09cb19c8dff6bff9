"""HTML that a notebook shows for a run: its ranked tables and the plot of totals."""

from __future__ import annotations

import base64
from pathlib import Path

import pandas as pd

from ..plots.totals import message
from ..plots.views import views
from ..tables.groups import groups
from ..tables.step_table import STEP_COLUMNS
from ..telling.ranking import title_of
from .html import fragment
from .verdicts import HEADER, verdicts


def cell_html(run_dir: Path, table: pd.DataFrame) -> str:
    """Make the piece of HTML. Its plots are those in ``run_dir``, each with its message as alternative text."""
    parts = [(title_of(rows, table), verdicts(rows)) for rows in groups(table)]
    drawn = [
        (message(view), run_dir / "plots" / f"totals{view.suffix}.png")
        for view in views(table, pd.DataFrame(columns=STEP_COLUMNS), {})
    ]
    plots = [(told, base64.b64encode(path.read_bytes()).decode()) for told, path in drawn if path.exists()]
    return fragment("cell.html.jinja", parts=parts, plots=plots, header=HEADER, folder=str(run_dir))
