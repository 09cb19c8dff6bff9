"""A history in words: what became faster or slower, since which run, and where there are too few runs to say."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from typing import Any

import pandas as pd

from ..judging.change_points import fewest
from ..words.comparison import precise
from ..words.quantity import counted, percent
from .history import QUANTITIES, History
from .runs import UNKNOWN

HEX = 7
"""Digits of a commit that are shown."""


def quantity_names(history: History) -> dict[str, str]:
    """What each quantity is called."""
    bases = history.rows.loc[history.rows["e2e_ratio"].notna(), "baseline"]
    base = bases.iloc[0] if len(bases) else "the baseline"
    return dict(zip(QUANTITIES, (f"relative to {base}", "end to end", "time of a step"), strict=True))


def date_of(started: str) -> str:
    """The date and minute of a run, in UTC: "2026-10-02 14:03"."""
    return started[:16].replace("T", " ")


def commit_of(row: Any) -> str:
    """The commit of a run, "+" after it where changes were not committed; "" if it is not known."""
    return row["commit"][:HEX] + "+" * (row["commit"] != "" and row["uncommitted_changes"] == "yes")


def sentences(history: History, hardware: str) -> Iterator[str]:
    """One sentence for each change of level on this hardware, and one for what does not change or cannot be said."""
    names, rows = quantity_names(history), history.of(hardware)
    if hardware == UNKNOWN:
        yield f"No change is claimed where environment.json does not name the hardware ({counted(len(rows), 'run')})."
        return
    least = fewest(history.level_each)
    counts = {name: history.series[hardware, name] for name in QUANTITIES if (hardware, name) in history.series}
    few = {name: count for name, count in counts.items() if (hardware, name) not in history.changes}
    if few:
        runs = counted(max(few.values()), "run")
        yield _sentence(names, few, counts, f"{runs} on this hardware: too few to say (at least {least}).")
    told: dict[tuple[int, str], list[str]] = {}
    flat = []
    for name in (name for name in counts if name not in few):
        found = rows[rows[f"{name}_change"].notna()]
        for place in found.index:
            told.setdefault((place, change_told(rows, place, name)), []).append(name)
        flat += [name] * found.empty
    for (_, said), some in sorted(told.items(), key=lambda entry: entry[0][0]):
        yield _sentence(names, some, (), f"{said}.")
    if flat:
        yield _sentence(names, flat, counts, f"no change of level in {counted(max(counts[n] for n in flat), 'run')}.")


def _sentence(names: dict[str, str], some: Collection[str], every: Collection[str], said: str) -> str:
    """A sentence on some of the quantities, which are named unless it is on all of them."""
    return _capital(said if set(some) == set(every) else f"{', '.join(names[name] for name in some)}: {said}")


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def change_told(rows: pd.DataFrame, place: int, name: str) -> str:
    """A change of level of a quantity at a row, by the test alone.

    For example "slower since commit 1a2b3c4 (2026-10-02, torch 2.13.0 -> 2.14.0): 1.08x [1.05, 1.11]".
    """
    row, before = rows.to_dict("index")[place], commit_of(rows.iloc[place - 1]) if place else ""
    factor, low, high = (float(row[f"{name}_change{end}"]) for end in ("", "_low", "_high"))
    word = "slower" if factor > 1 else "faster"
    if factor < 1:
        factor, low, high = 1 / factor, 1 / high, 1 / low
    commit = commit_of(row)
    if commit and commit != before:
        when = [f"commit {commit} ({row['started'][:10]}"]
    else:
        when = [f"a run ({date_of(row['started'])}", *["of the same commit as the run before"] * bool(commit)]
    size = f"{precise(factor)}x" + ("" if math.isnan(low) else f" [{precise(low)}, {precise(high)}]")
    return f"{word} since {', '.join(filter(None, [*when, row['since']]))}): {size}"


def assurance(history: History) -> str:
    """What the test promises, and what it does not."""
    return (
        "By permutation tests on ranks: where nothing changes, the chance that any change is told above is at most "
        f"{percent(history.level)} in all, if runs differ by chance alone. A machine that drifts changes times without "
        "any change of the code; the ratio to the baseline of the same run drifts little. The run at which a level "
        "begins is the most likely one and may be off by a run or two: measure the commits beside it again. Nothing is "
        "claimed across hardware."
    )
