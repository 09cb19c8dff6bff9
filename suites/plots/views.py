"""The views of a run: one for each group of cases that share their settings, with the names that tell them apart."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from itertools import count

import pandas as pd

from ..tables.columns import GROUP, SETTINGS, completed
from ..tables.exactness import is_exact
from ..tables.groups import hardware_known, hardware_named, whole_batches
from ..tables.role_table import ROLE_COLUMNS
from ..words.labels import short
from ..words.settings_told import changed_settings
from .looks import looks
from .view import View, beams_of, has_several

SUFFIX_MAX = 150
"""Greatest number of characters in a plot's file name after the name of the figure."""
PLAIN = re.compile(r"[^\w-]+", re.ASCII)


def views(
    table: pd.DataFrame, steps: pd.DataFrame, machine: Mapping[str, str], role_sums: pd.DataFrame | None = None
) -> Iterator[View]:
    """Yield a view for each group that has a measured case; cases of a group are equal in the columns ``GROUP``.

    ``machine`` maps each device to its name, which counts where a case does not name its own. ``role_sums`` is the
    table of roles, None if the folder has none. Tables of earlier versions get the columns that they lack. The last
    batch of a file of texts is left out where it is smaller, as its times are not those of the others.
    """
    table = hardware_known(completed(table))
    sums = pd.DataFrame(columns=ROLE_COLUMNS) if role_sums is None else role_sums
    steps, sums = (_with_search(each, table) for each in (steps, sums))
    look = looks(table["strategy"])
    approximate = frozenset(table.loc[~is_exact(table), "strategy"])
    good = table[table["status"] == "ok"]
    varying = [c for c in SETTINGS if good[c].nunique() > 1]
    taken: set[str] = set()
    for key, rows in good.groupby(GROUP, sort=False):
        case = dict(zip(GROUP, key, strict=True))
        hardware = hardware_named(rows.iloc[0], good)
        names = [*(f"{case[c]}{c if c in ('threads', 'seed') else ''}" for c in varying), *[hardware] * bool(hardware)]
        threads = f", {case['threads']} {'thread' if case['threads'] == 1 else 'threads'}"
        kernels = "".join(f"{text}, " for text in changed_settings(case))
        kernels += f"{beams_of(rows)}, " if beams_of(rows) else ""
        own = case["gpu" if case["device"] == "cuda" else "cpu"]
        where = hardware or own or machine.get(str(case["device"]), case["device"])
        foot = f"{short(str(case['model']))}, {case['dtype']}, {kernels}on {where}"
        bad = table[(table[GROUP] == pd.Series(case)).all(axis=1) & (table["status"] != "ok")]
        rows = whole_batches(rows, bad)
        told = bad[~_is_idle_with_one_beam(bad, rows)]
        yield View(
            rows,
            steps[steps["cell"].isin(rows["cell"])],
            foot + (threads if case["device"] == "cpu" else "") + ".",
            _file_suffix("".join(f"_{name}" for name in names), taken),
            look,
            {str(s): "/".join(dict.fromkeys(b["status"])) for s, b in told.groupby("strategy", sort=False)},
            sums[sums["cell"].isin(rows["cell"])],
            hardware=hardware,
            lost=bad,
            approximate=approximate,
        )


def _is_idle_with_one_beam(bad: pd.DataFrame, measured: pd.DataFrame) -> pd.Series:
    """Whether each case is one of a single beam that is skipped, of a strategy that was measured with several.

    Its options change nothing there, so that its curve begins at two beams, and no more is to be said of it.
    """
    if not has_several(measured):
        return pd.Series(False, index=bad.index)
    with_several = measured.loc[measured["num_beams"] > 1, "strategy"]
    return (bad["num_beams"] == 1) & (bad["status"] == "skipped") & bad["strategy"].isin(with_several)


def _with_search(found: pd.DataFrame, table: pd.DataFrame) -> pd.DataFrame:
    """Add to a table of steps or roles each cell's search, number of beams and first sentence, which ``table`` has."""
    cells = table.drop_duplicates("cell").set_index("cell")
    return found.assign(**{name: found["cell"].map(cells[name]) for name in ("search", "num_beams", "first_sentence")})


def _file_suffix(text: str, taken: set[str]) -> str:
    """Turn a text into the end of a file's name: only safe characters, and at most ``SUFFIX_MAX`` of them.

    A number is added if the result is in ``taken``, whatever its case; the result is then added to ``taken``.
    """
    suffix = PLAIN.sub("-", text)
    suffix = suffix if len(suffix) <= SUFFIX_MAX else suffix[:SUFFIX_MAX]
    numbered = (suffix if number == 1 else f"{suffix}-{number}" for number in count(1))
    found = next(name for name in numbered if name.lower() not in taken)
    taken.add(found.lower())
    return found
