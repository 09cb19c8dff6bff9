"""The reviewed file of budgets: TOML with one line per figure, which holds its values at the stages in ``at``.

    ["2.13"."t5 static_kv"]
    at                           = ["prefill", "step 4", "step 12"]
    allocations                  = [       43,       60,        60]
    peak_bytes                   = 23456

A table holds the figures of one name for one version of torch, because operators change with the version.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import torch

Entry = dict[str, list[int] | list[str] | int]
Budgets = dict[str, dict[str, Entry]]
"""torch version -> name -> figure -> its value at each stage."""

STAGES = "at"
PEAK = "peak_bytes"
NARROWEST = 10


class BudgetError(AssertionError):
    """Figures that differ from the reviewed ones, one per line, or a damaged file, in one line; with the remedy."""


class UnknownVersionError(LookupError):
    """The file has no figures for this version of torch; the message says how to add them."""


def torch_version() -> str:
    """Major and minor version of torch: operators and their allocations change with these.

    >>> torch_version() in torch.__version__
    True
    """
    return ".".join(torch.__version__.split(".")[:2])


def read(path: Path | str, remedy: str = "make budgets") -> Budgets:
    """Read the figures of every version; empty if there is no file. Raises BudgetError if the file is damaged."""
    path = Path(path)
    try:
        found = tomllib.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
        for version, entries in found.items():
            for name, entry in _table_of(version, entries).items():
                _check(f"{version}, {name}", entry)
    except ValueError as error:
        raise BudgetError(
            f"{path} is damaged ({error}); resolve the conflict, or delete the version's table and run {remedy}"
        ) from None
    return found


def _table_of(where: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where}: {value!r} is no table")
    return value


def _check(where: str, entry: Any) -> None:
    """Raise ValueError unless an entry holds a value of each figure at each of its stages."""
    stages = _table_of(where, entry).get(STAGES)
    if not isinstance(stages, list) or not all(isinstance(stage, str) for stage in stages):
        raise ValueError(f"{where}: no list of stages `{STAGES}`")
    for figure, value in entry.items():
        values, wanted = ([value], 1) if figure == PEAK else (value, len(stages))
        whole = isinstance(values, list) and all(type(number) is int for number in values)
        if figure != STAGES and not (whole and len(values) == wanted):
            raise ValueError(f"{where}: {figure} = {value!r} is not a whole number at each of {len(stages)} stages")


def of_this_torch(path: Path | str, remedy: str = "make budgets") -> dict[str, Entry]:
    """Read the figures for the installed version of torch. Raises UnknownVersionError or BudgetError."""
    known = read(path, remedy)
    if torch_version() not in known:
        held = ", ".join(sorted(known)) or "none"
        raise UnknownVersionError(
            f"{Path(path).name} holds no budgets for torch {torch_version()} ({held}); add: {remedy}"
        )
    return known[torch_version()]


def text(budgets: Budgets) -> str:
    """Contents of the file that holds these budgets. The layout is always the same, so that a diff shows figures."""
    header = (
        "# Work of a round, exact on any CPU: what it may be. docs/ci.md of decodebench says what each figure counts.\n"
        "# Values are those of the stages in `at`; step k attends k keys. By torch version, written by a command.\n"
    )
    tables = [_table(version, name, entry) for version in sorted(budgets) for name, entry in budgets[version].items()]
    return "\n".join([header, *tables])


def _table(version: str, name: str, entry: Entry) -> str:
    columns = [value for value in entry.values() if isinstance(value, list)]
    # A minimal width for all columns, so that a figure that grows does not shift the others.
    widths = [max(NARROWEST, *(len(json.dumps(value)) for value in column)) for column in zip(*columns, strict=True)]
    key_width = max(len(_key(figure)) for figure in entry)
    lines = [f"[{json.dumps(version)}.{json.dumps(name)}]"]
    for figure, value in entry.items():
        if isinstance(value, list):
            cells = (json.dumps(cell).rjust(width) for cell, width in zip(value, widths, strict=True))
            text = f"[{', '.join(cells)}]"
        else:
            text = str(value)
        lines.append(f"{_key(figure):{key_width}} = {text}")
    return "\n".join(lines) + "\n"


def _key(figure: str) -> str:
    return figure if figure.isidentifier() else json.dumps(figure)
