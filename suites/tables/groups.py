"""The groups of a table of cases: what may stand in one ranking or plot, as settings and hardware are equal in it."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import Any

import pandas as pd

from ..words.labels import shortened
from .columns import GROUP, KINDS, SETTINGS, SIZES

NAME_MAX = 48
"""Greatest number of characters of the name of a CPU or GPU in a title."""


def groups(table: pd.DataFrame) -> Iterator[pd.DataFrame]:
    """Yield the rows of each group, in the order of the table; cases of a group are equal in the columns ``GROUP``."""
    for _, rows in hardware_known(table).groupby(GROUP, sort=False):
        yield rows


def hardware_known(table: pd.DataFrame) -> pd.DataFrame:
    """Put cases whose CPU or GPU is not known to others, where that mixes no times.

    They are put to the only kind that is known of their device. Of several kinds, those that were not measured are put
    to the first with the same settings, and those that were stay apart, on a kind that is not known.
    """
    table = table.assign(**{name: "" for name in KINDS if name not in table})
    for column in KINDS:
        known = table[table[column] != ""]
        if len(known) in (0, len(table)):
            continue
        kinds = {device: list(dict.fromkeys(names)) for device, names in known.groupby("device")[column]}
        alike = dict(zip(_settings(known)[::-1], known[column][::-1], strict=True))
        found = []
        cases = zip(table[column], table["device"], table["status"], _settings(table), strict=True)
        for name, device, status, settings in cases:
            only = kinds.get(device, [])
            other = alike.get(settings, "") if status != "ok" else ""
            found.append(name or (only[0] if len(only) == 1 else other))
        table = table.assign(**{column: found})
    return table


def order_of(table: pd.DataFrame) -> list[str]:
    """The columns ``SIZES`` in the order by which cases are sorted.

    Batches of a file of texts that was cut in one way stay in the order of the file, though the last is smaller.

    >>> order_of(pd.DataFrame({"first_sentence": [1, 9, 17], "batch_size": [8, 8, 3]}))[:2]
    ['first_sentence', 'batch_size']
    >>> order_of(pd.DataFrame({"first_sentence": [1, 1, 9], "batch_size": [8, 16, 8]}))[:2]
    ['batch_size', 'num_beams']
    """
    several = table["first_sentence"].nunique() > 1
    is_one_cut = several and (table.groupby("first_sentence")["batch_size"].nunique() == 1).all()
    return sorted(SIZES, key=lambda name: name != "first_sentence") if is_one_cut else SIZES


def whole_batches(table: pd.DataFrame, lost: pd.DataFrame | None = None) -> pd.DataFrame:
    """The rows without the last batches of a file of texts that are smaller: no batch of their size begins the file.

    ``lost`` are rows of cases without a measurement, among which the first batch may be.
    """
    known = table if lost is None else pd.concat([table, lost])
    first = pd.to_numeric(known["first_sentence"])  # empty texts in tables of earlier versions
    sizes = known.loc[~(first > 1), "batch_size"]
    return table[table["batch_size"].isin(sizes)] if len(sizes) else table


def _settings(table: pd.DataFrame) -> list[tuple[Any, ...]]:
    return list(table[SETTINGS].itertuples(index=False, name=None))


def hardware_named(case: Mapping[Hashable, Any] | pd.Series, table: pd.DataFrame) -> str:
    """Name GPU and CPU of a case, each if cases of its device in the table differ in it; "" if they do not."""
    mine = hardware_known(table)
    mine = mine[mine["device"] == case["device"]]
    told = []
    for column in reversed(KINDS):
        names = list(dict.fromkeys(mine[column]))
        if len(names) > 1:
            words = [name or f"unknown {column.upper()}" for name in names]
            known = dict(zip(names, shortened(words, NAME_MAX), strict=True))
            told.append(known.get(case.get(column, ""), ""))
    return ", ".join(filter(None, told))
