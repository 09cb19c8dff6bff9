"""A run as data for programs: what `run --json` prints."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from .files import read_json, read_text
from .table import read_tables


def as_json(run_dir: Path) -> str:
    """Folder, rows of table.csv, warnings and advice of a run, as JSON; what is not known is null."""
    table, _ = read_tables(run_dir)
    content = {
        "dir": str(run_dir),
        "rows": [{str(name): _known(value) for name, value in row.items()} for row in table.to_dict("records")],
        "warnings": read_json(run_dir / "noise.json"),
        "advice": read_text(run_dir / "advice.txt").splitlines(),
    }
    return json.dumps(content, indent=1, allow_nan=False)


def _known(value: Any) -> Any:
    """JSON has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
