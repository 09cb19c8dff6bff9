"""Tables of a run folder as files: CSV, which reads back equal to the bit, and Parquet where pyarrow is installed."""

from __future__ import annotations

import contextlib
import csv
import warnings
from collections.abc import Callable, Sequence
from io import BytesIO, StringIO
from pathlib import Path

import numpy as np
import pandas as pd

from ..words.labels import as_written, plain, spreadsheet_safe
from .files import ResultsError, read_text, write_bytes, write_text

TEXT = {
    "cell", "model", "device", "dtype", "weights", "linear", "attention", "tf32", "search", "source", "stop",
    "strategy", "execution", "attention_ran", "status", "reason", "tokens_equal", "baseline", "phase", "role", "figure",
    "kind", "verdict", "gate", "e2e_verdict", "stopped_by", "best_strategy", "best_verdict", "memory_bound_by",
    "disturbed_by", "node", "cpu", "gpu", "run", "started", "commit", "uncommitted_changes", "software", "hardware",
    "remark", "since",
}  # fmt: skip
"""Columns that hold text; all others hold numbers."""
HEADER = 1 << 16
"""Number of characters within which the line of column names ends."""
SIZES = {"threads": 1, "batch_size": 1, "num_beams": 1, "src_len": 1, "tgt_len": 1, "k": 1, "seed": 0, "rounds": 0,
         "first_sentence": 0}  # fmt: skip
"""Columns that hold whole numbers, with the least value of each."""


def as_csv(frame: pd.DataFrame) -> str:
    """Write a table as CSV in which no spreadsheet takes a label for a formula (``labels.spreadsheet_safe``)."""
    return _text_changed(frame, spreadsheet_safe).to_csv(index=False)


def from_csv(frame: pd.DataFrame) -> pd.DataFrame:
    """Undo what ``as_csv`` changed, in a table that was read from its CSV."""
    return _text_changed(frame, lambda text: plain(as_written(text)))


def _text_changed(frame: pd.DataFrame, change: Callable[[str], str]) -> pd.DataFrame:
    changed = {}
    for name, column in frame.items():
        if pd.api.types.is_string_dtype(column.dtype) or column.dtype == object:
            texts = {value: change(value) for value in column.unique() if isinstance(value, str)}
            if any(before != after for before, after in texts.items()):
                changed[str(name)] = column.map(lambda value, texts=texts: texts.get(value, value))
    return frame.assign(**changed)


def write_frame(run_dir: Path, name: str, frame: pd.DataFrame) -> None:
    """Write ``name``.csv, whole or not at all, and ``name``.parquet where pyarrow is installed."""
    write_text(run_dir / f"{name}.csv", as_csv(frame))
    with contextlib.suppress(ImportError):
        write_bytes(run_dir / f"{name}.parquet", frame.to_parquet(index=False))


def read_frame(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> pd.DataFrame:
    """Read a CSV file that ``write_frame`` wrote.

    Raises ResultsError if the file cannot be read, ends within a line or lacks a ``required`` column. The same holds if
    a ``required`` or ``optional`` column of numbers holds text, or if any number is infinite or out of range.
    """
    text = read_text(path)
    try:
        header = next(csv.reader(StringIO(text[:HEADER])), [])
        # A label may read "null" or "NA"; only numbers may be missing.
        missing = {column: ["", "nan"] for column in header if column not in TEXT}
        with warnings.catch_warnings():  # pandas only warns of a line that has more fields than the header
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
                BytesIO(text.encode()),  # which takes a quarter of the memory of a StringIO
                keep_default_na=False,
                na_values=missing,
                dtype={column: str for column in header if column in TEXT},
                index_col=False,
            )
    except (ValueError, OverflowError, csv.Error, pd.errors.ParserWarning) as error:  # pandas' own are ValueErrors
        reason = plain(str(error).strip())
        raise ResultsError(f"{path} is not readable as CSV ({reason}); the file is damaged or foreign") from None
    for column in required:
        if column not in frame:
            raise ResultsError(f"{path} lacks the column {column}; the file is damaged or foreign")
    if not text.endswith("\n"):
        raise ResultsError(f"{path} ends within a line; `plot --retable` makes it anew from the raw rounds")
    known = {*required, *optional}
    for column in frame.columns if len(frame) else ():
        if column in TEXT:
            continue
        if column in known and not _numeric(frame[column]):
            raise ResultsError(f"{path} has text among the numbers of {column}; the file is damaged or foreign")
        if _numeric(frame[column]):
            _require_range(path, str(column), frame[column])
    return from_csv(frame)


def _numeric(column: pd.Series) -> bool:
    return pd.api.types.is_numeric_dtype(column) and not pd.api.types.is_bool_dtype(column)


def _require_range(path: Path, name: str, column: pd.Series) -> None:
    """Raise ResultsError for a number that no measurement gives."""
    values = column.to_numpy(float)
    if np.isinf(values).any():
        raise ResultsError(f"{path} has infinity among the numbers of {name}; the file is damaged or foreign")
    least = SIZES.get(name)
    if least is None:
        return
    bad = ~((values >= least) & (values <= 2**53) & (values == np.floor(values)))
    if bad.any():
        raise ResultsError(
            f"{path} has {name}={values[bad][0]:g}; that is no whole number of at least {least}: the file is damaged"
        )
