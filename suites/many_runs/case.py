"""Choose the case of a history, and say why a run does not hold it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from ..settings.catalog import did_you_mean
from ..settings.config import ConfigError
from ..settings.rules import shown
from ..tables.columns import GROUP, SIZES
from ..words.search_told import sizes_with_units
from .runs import PastRun

SHOWN = 4
"""Number of other strategies, of other cells and of names in a mistake that are listed."""
Key = tuple[str, str]
"""Cell id and strategy, which identify a case: the id holds a hash of everything that the cell depends on."""


@dataclass(frozen=True)
class Chosen:
    """A case, a row of it for the names of its settings, the number of runs that measured it, and the others.

    ``others`` is "" where the case was asked for.
    """

    key: Key
    row: dict[str, Any]
    count: int
    others: str

    @property
    def name(self) -> str:
        """The case in words: "static_kv in tiny, batch 1, 32 -> 32 tokens"."""
        return f"{self.key[1]} in {self.row['model']}, {sizes_with_units(self.row)}"


def choose(runs: Sequence[PastRun], cell: str | None, strategy: str | None) -> Chosen:
    """Choose the case that most runs measured, of those with ``cell`` in the cell's id and of this ``strategy``.

    Of several, the quickest strategy of its cell, and then the first in the newest run. Raises ConfigError if no run
    measured such a case, or if no two runs share one.
    """
    rows = {key: row for run in runs for key, row in measured(run).items()}
    counts = Counter(key for run in runs for key in measured(run))
    if not counts:
        raise ConfigError("history: no case of these runs was measured; give runs with measured cases")
    if strategy is not None:
        _require(strategy, dict.fromkeys(label for _, label in counts), "strategy", exact=True)
    if cell is not None:
        _require(cell, dict.fromkeys(name for name, _ in counts), "cell", exact=False)
    wanted = [key for key in counts if (cell is None or cell in key[0]) and strategy in (None, key[1])]
    if not wanted:
        raise ConfigError(f"history: no run measured {strategy} in a cell of id {cell}; leave one of them out")
    newest = {key: place for place, key in enumerate(measured(runs[-1]))}

    def preference(key: Key) -> tuple[int, bool, int]:
        return -counts[key], rows[key]["best_strategy"] != key[1], newest.get(key, len(newest))

    best = min(wanted, key=preference)
    if counts[best] < 2 <= len(runs):
        raise ConfigError(f"history: the runs share no case ({_why_none(runs, best)}); give runs of the same settings")
    others = _others(counts, best) if cell is None or strategy is None else ""
    return Chosen(best, rows[best], counts[best], others)


def measured(run: PastRun) -> dict[Key, dict[str, Any]]:
    """The rows of the cases that a run measured, by case."""
    found = {(row["cell"], row["strategy"]): row for row in run.table.to_dict("records") if row["status"] == "ok"}
    return {key: {str(name): value for name, value in row.items()} for key, row in found.items()}


def why_without(run: PastRun, chosen: Chosen) -> str:
    """Say why a run has no such case: what became of it, or in which settings the nearest of its cases differs."""
    rows = run.table.to_dict("records")
    mine = [row for row in rows if row["strategy"] == chosen.key[1]]
    for row in mine:
        if row["cell"] == chosen.key[0]:
            return f"{row['strategy']} is {row['status']} there" + (f" ({row['reason']})" if row["reason"] else "")
    if not mine:
        return f"it has no {chosen.key[1]}"
    nearest = min((_differing(row, chosen.row) for row in mine), key=len)
    told = ", ".join(f"{name} {value}, not {chosen.row[name]}" for name, value in nearest.items())
    return f"other settings ({told or 'something that only cell.json tells'})"


def _differing(row: dict[Hashable, Any], other: dict[str, Any]) -> dict[str, Any]:
    """The settings of a row in which it differs from the other, with their values."""
    return {name: row[name] for name in [*GROUP, *SIZES] if row[name] != other[name]}


def _require(given: str, known: Iterable[str], noun: str, exact: bool) -> None:
    names = list(known)
    if given in names or (not exact and given and any(given in name for name in names)):
        return
    listed = ", ".join(names[:SHOWN]) + (f" and {len(names) - SHOWN} more" if len(names) > SHOWN else "")
    of = "of these runs"
    raise ConfigError(f"history: no {noun} '{shown(given)}' {of}; {did_you_mean(given, names)}known: {listed}")


def _why_none(runs: Sequence[PastRun], key: Key) -> str:
    one = next(run for run in runs if key in measured(run))
    chosen = Chosen(key, measured(one)[key], 1, "")
    other = next(run for run in runs if run is not one)
    return f"{other.path}: {why_without(other, chosen)}"


def _others(counts: Counter[Key], best: Key) -> str:
    """One line on what else could be chosen, with the number of runs that measured it; "" if there is nothing."""
    strategies = [(name, count) for (cell, name), count in counts.most_common() if cell == best[0] and name != best[1]]
    cells = Counter({cell: count for (cell, _), count in reversed(counts.most_common()) if cell != best[0]})
    told = []
    for flag, found in (("--strategy", strategies), ("--cell", cells.most_common())):
        names = [f"{name} ({count})" for name, count in found[:SHOWN]]
        if names:
            more = [f"{len(found) - SHOWN} more"] if len(found) > SHOWN else []
            told.append(f"{flag} {', '.join(names + more)}")
    return "; ".join(told)
