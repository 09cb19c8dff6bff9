"""Checks the JSON of a run folder against the types of ``records`` and ``entries``, with one line of error."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .environment_entries import EnvironmentEntry
from .files import ResultsError, exists, read_text
from .plan_entries import RunEntry

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 2
READABLE = (1, SCHEMA)
"""Schemas that can be read. Schema 1 has no calibrations, no conditions.json, and no ``measure`` in cell.json."""


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def parsed(kind: Any, text: str, what: str, remedy: str) -> Any:
    """Parse JSON as the type ``kind``, a record or entry.

    Raises ResultsError if a field is missing, unknown, or of another type or range. Its message says ``what`` is wrong,
    names the field, and ends in the ``remedy``.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ResultsError(f"{what} ({where + ': ' if where else ''}{first['msg']}); {remedy}") from None


def parsed_file(kind: Any, path: Path) -> Any:
    """Parse a whole JSON file as the type ``kind``. Raises ResultsError if it is missing or does not fit the type."""
    return parsed(kind, read_text(path), damaged(path), "run again")


def damaged(path: Path) -> str:
    """Start of a sentence about a file that differs from what this version writes."""
    return f"{path} is damaged, foreign or of another version"


def read_run_entry(run_dir: Path) -> RunEntry:
    """Read run.json. Raises ResultsError if it is missing, damaged or of a schema that cannot be read."""
    path = run_dir / "run.json"
    run: RunEntry = parsed_file(RunEntry, path)
    if run["schema"] not in READABLE:
        versions = " and ".join(map(str, READABLE))
        raise ResultsError(f"{run_dir} has schema {run['schema']}, this version reads {versions}; run again")
    return run


def read_environment(folder: Path) -> EnvironmentEntry:
    """Read environment.json of a run or a cell; an empty entry where there is none. Raises ResultsError if damaged."""
    path = folder / "environment.json"
    found: EnvironmentEntry = parsed_file(EnvironmentEntry, path) if exists(path) else {}
    return found
