"""A table of a run folder as a file: CSV, read back equal to the bit, and Parquet where pyarrow is installed."""

from __future__ import annotations

import contextlib
from collections.abc import Sequence
from io import StringIO
from pathlib import Path

import pandas as pd

from .files import ResultsError, read_text, write_bytes, write_text

TEXT = {
    "cell", "model", "device", "dtype", "weights", "linear", "stop", "strategy", "status", "reason", "tokens_equal",
    "baseline", "phase", "role", "figure", "kind", "verdict", "gate", "e2e_verdict", "stopped_by", "best_strategy",
    "best_verdict", "memory_bound_by",
}  # fmt: skip
"""Columns of words; all others hold numbers."""


def write_frame(run_dir: Path, name: str, frame: pd.DataFrame) -> None:
    """``name``.csv, whole or not at all, and ``name``.parquet."""
    write_text(run_dir / f"{name}.csv", frame.to_csv(index=False))
    with contextlib.suppress(ImportError):
        write_bytes(run_dir / f"{name}.parquet", frame.to_parquet(index=False))


def read_frame(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """What ``write_frame`` wrote. Raises ResultsError, also where a ``required`` column is missing."""
    text = read_text(path)
    try:
        header = pd.read_csv(StringIO(text), nrows=0).columns
        # A label may read "null" or "NA"; only numbers may be missing.
        missing = {column: ["", "nan"] for column in header if column not in TEXT}
        frame = pd.read_csv(
            StringIO(text),
            keep_default_na=False,
            na_values=missing,
            dtype={column: str for column in header if column in TEXT},
        )
    except (pd.errors.ParserError, pd.errors.EmptyDataError) as error:
        raise ResultsError(f"{path} is not readable as CSV ({error}); the file is damaged or foreign") from None
    for column in required:
        if column not in frame:
            raise ResultsError(f"{path} lacks the column {column}; the file is damaged or foreign")
        if column not in TEXT and len(frame) and not pd.api.types.is_numeric_dtype(frame[column]):
            raise ResultsError(f"{path} has text among the numbers of {column}; the file is damaged or foreign")
    if not text.endswith("\n"):
        raise ResultsError(f"{path} ends within a line; `plot --retable` makes it anew from the raw rounds")
    return frame
