"""A run as data for programs, as `run --json` prints it."""

from __future__ import annotations

import json
from pathlib import Path

from ..store.files import finite, read_text
from ..store.schema import parsed_file
from ..tables.table_files import read_tables


def as_json(run_dir: Path) -> str:
    """Return folder, rows of table.csv, warnings and advice of a run as JSON; what is not known is null."""
    table, _ = read_tables(run_dir)
    content = {
        "dir": str(run_dir),
        "rows": table.to_dict("records"),
        "warnings": parsed_file(list[str], run_dir / "noise.json"),
        "advice": read_text(run_dir / "advice.txt").splitlines(),
    }
    return json.dumps(finite(content), indent=1, allow_nan=False)
