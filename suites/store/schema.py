"""JSON of a run folder held to the types of ``records`` and ``entries``; what is wrong is told in one line."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .entries import EnvironmentEntry, RunEntry
from .files import ResultsError, exists, read_text

if TYPE_CHECKING:
    from pydantic import TypeAdapter

SCHEMA = 2
READABLE = (1, SCHEMA)
"""Schema 1 has no calibrations, no conditions.json, and no ``measure`` in cell.json."""


@lru_cache
def _adapter(kind: Any) -> TypeAdapter[Any]:
    from pydantic import TypeAdapter

    return TypeAdapter(kind)


def parsed(kind: Any, text: str, what: str, remedy: str) -> Any:
    """JSON as a ``kind`` of those; a field that is absent, unknown, of another type or range is named.

    Raises ResultsError: ``what`` is wrong, and where, then the ``remedy``.
    """
    from pydantic import ValidationError

    try:
        return _adapter(kind).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        raise ResultsError(f"{what} ({where + ': ' if where else ''}{first['msg']}); {remedy}") from None


def parsed_file(kind: Any, path: Path) -> Any:
    """A whole file. Raises ResultsError."""
    return parsed(kind, read_text(path), damaged(path), "run again")


def damaged(path: Path) -> str:
    """The start of a sentence about a file that is not as this version writes it."""
    return f"{path} is damaged, foreign or of another version"


def read_run_entry(run_dir: Path) -> RunEntry:
    """run.json: schema, plan, and what is told of the command. Raises ResultsError."""
    path = run_dir / "run.json"
    run: RunEntry = parsed_file(RunEntry, path)
    if run["schema"] not in READABLE:
        versions = " and ".join(map(str, READABLE))
        raise ResultsError(f"{run_dir} has schema {run['schema']}, this version reads {versions}; run again")
    return run


def read_environment(run_dir: Path) -> EnvironmentEntry:
    """environment.json; nothing where the folder has none. Raises ResultsError."""
    path = run_dir / "environment.json"
    found: EnvironmentEntry = parsed_file(EnvironmentEntry, path) if exists(path) else {}
    return found
