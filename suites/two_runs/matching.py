"""Match the cases of two runs: which are in both, which the second run lost, and which it was not meant to have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from ..settings.config import ConfigError
from ..settings.search import search_from
from ..words.quantity import counted
from ..words.search_told import search_told
from .runs import CASE, Key, RunRead

SETTINGS = (
    "src_len",
    "tgt_len",
    "batch_size",
    "device",
    "dtype",
    "weights",
    "linear",
    "attention",
    "tf32",
    "search",
    "threads",
    "seed",
    "stop",
    "src_ids",
    "src_features",
    "first_sentence",
)
"""Settings that a cell's id is a hash of, besides the model."""
UNTOLD = "something that only cell.json tells, which is not kept"
"""What is said of two cells whose ids differ when the setting in which they differ is not known."""
LONGEST = 20
"""Characters of the longest value of a setting that is shown."""


@dataclass(frozen=True)
class Matched:
    """``both``: cases that both runs have. ``lost``: cases of the first run that the second should have and has not.

    The second should have the cases that its run.json plans, and all of them if both runs had the same command.
    """

    both: list[Key]
    lost: list[Key]
    notes: list[str]


def match(a: RunRead, b: RunRead) -> Matched:
    """Match cases by cell id and strategy. Raises ConfigError if the runs share none and the second planned none."""
    both = [key for key in a.rows if key in b.rows]
    alone = [key for key in a.rows if key not in b.rows]
    extra = [key for key in b.rows if key not in a.rows]
    planned = [key for key in alone if _was_planned(key, a, b)]
    counterparts = _counterparts(a, b, [key for key in alone if key not in planned], extra)
    rest = [key for key in alone if key not in planned and key not in counterparts]
    same_command = bool(a.command) and a.command == b.command
    if not both and not planned:
        raise ConfigError(
            f"compare: the runs share no case ({_why_none(a, b, counterparts)}); compare runs of the same settings"
        )
    notes = [
        f"{counted(count, 'case')} {'differs' if count == 1 else 'differ'} in {setting} and {_are(count)} not compared"
        for setting, count in Counter(_difference(a, b, *pair) for pair in counterparts.items()).items()
    ]
    paired = set(counterparts.values())
    lost = planned + rest * same_command
    only = [(a, len(rest) * (not same_command), b), (b, len([key for key in extra if key not in paired]), a)]
    notes += [f"{counted(n, 'case')} {_are(n)} in {x.path} alone, not planned in {y.path}" for x, n, y in only if n]
    return Matched(both, lost, notes)


def _are(count: int) -> str:
    return "is" if count == 1 else "are"


def _was_planned(key: Key, a: RunRead, b: RunRead) -> bool:
    """Whether the plan of the second run holds a case of the first: its cell, and its strategy there or elsewhere."""
    cell, strategy = key
    if cell not in b.plan:
        return False
    return any(label == strategy for _, label in b.rows) or _chosen(a.plan.get(cell)) == _chosen(b.plan[cell])


def _chosen(overrides: Iterable[str] | None) -> list[str] | None:
    if overrides is None:
        return None
    return sorted(text for text in overrides if text.startswith(("strategies=", "contenders=")))


def _counterparts(a: RunRead, b: RunRead, alone: list[Key], extra: list[Key]) -> dict[Key, Key]:
    """Pair cases of the first run alone with cases of the second alone that are equal in all columns of ``CASE``."""
    free: dict[tuple[Any, ...], list[Key]] = {}
    for key in extra:
        free.setdefault(_case(b, key), []).append(key)
    return {key: free[case].pop(0) for key in alone if free.get(case := _case(a, key))}


def _case(run: RunRead, key: Key) -> tuple[Any, ...]:
    """Identity of a case for people, with the model's own name; a table lengthens names that models share."""
    model = run.cells[key[0]].cell["model"]["name"] if key[0] in run.cells else run.rows[key]["model"]
    return (model, *(run.rows[key][name] for name in CASE if name != "model"))


def _difference(a: RunRead, b: RunRead, mine: Key, theirs: Key) -> str:
    """Name the settings in which two cells differ, with their values if these are short."""
    if mine[0] not in a.cells or theirs[0] not in b.cells:
        return UNTOLD
    first, second = (_settings(run.cells[key[0]].cell) for run, key in ((a, mine), (b, theirs)))
    names = [name for name in first | second if first.get(name) != second.get(name)]
    return ", ".join(f"{name}{_shown(first.get(name), second.get(name))}" for name in names) or UNTOLD


def _settings(cell: dict[str, Any]) -> dict[str, Any]:
    """Settings in a cell.json, the model's as model.*; a checkpoint's path only if its content is not known."""
    cell = {"linear": "torch", "attention": "auto", "tf32": False, **cell}
    search = search_from(cell.get("search"))
    cell["weights"] = cell.get("weights") or cell.get("dtype")
    model = {"content": None, **cell["model"]}
    if model["content"]:
        del model["checkpoint"]
    cell["src_features"] = (cell.get("src_features") or {}).get("content")
    cell["search"] = f"{search_told(search)}, {search.width}" if search.width > 1 else search_told(search)
    return {name: cell.get(name) for name in SETTINGS} | {f"model.{n}": value for n, value in model.items()}


def _shown(first: Any, second: Any) -> str:
    texts = [str(first), str(second)]
    return f" ({texts[0]} and {texts[1]})" if max(map(len, texts)) <= LONGEST else ""


def _why_none(a: RunRead, b: RunRead, counterparts: dict[Key, Key]) -> str:
    if counterparts:
        return "differing in " + "; ".join(dict.fromkeys(_difference(a, b, *pair) for pair in counterparts.items()))
    values = {name: [dict.fromkeys(str(row[name]) for row in run.rows.values()) for run in (a, b)] for name in CASE}
    apart = [f"{name} {'/'.join(x)} and {'/'.join(y)}" for name, (x, y) in values.items() if not x.keys() & y.keys()]
    return ", ".join(apart) or "no case in both"
