"""Whether a command plans what a run folder holds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..settings.rules import shown
from ..store.plan import labels_of
from ..store.plan_entries import FrozenEntry


def difference(planned: Sequence[FrozenEntry], held: Sequence[FrozenEntry]) -> str:
    """Say how the plan that a folder holds differs from one that was planned now; "" where it does not."""
    new, old = ({entry["id"]: entry for entry in entries} for entries in (planned, held))
    only_old, only_new = (next((one for one in a if one not in b), "") for a, b in ((old, new), (new, old)))
    if only_old and only_new:
        return _first_difference(old[only_old]["cell"], new[only_new]["cell"])
    if only_old or only_new:
        return f"{'that one has' if only_old else 'this one has'} the cell {only_old or only_new} besides"
    for one, entry in new.items():
        if labels_of(entry) != labels_of(old[one]):
            return f"there, {one} has {', '.join(labels_of(old[one]))}"
        if entry.get("isolate") != old[one].get("isolate"):
            return f"there, {one} has isolate={old[one].get('isolate')}"
        before = old[one]["measure"]
        for key, value in entry["measure"].items():
            if before.get(key) != value:
                return f"there, {one} has measure.{key}={before.get(key)}"
    return ""


def _first_difference(there: Mapping[str, Any], here: Mapping[str, Any]) -> str:
    """The first setting in which two cells differ, of both."""
    for key, value in here.items():
        if value != there[key]:
            told = [cell["name"] if key == "model" else cell for cell in (there[key], value)]
            return f"{key} is {shown(told[0])} there, and {shown(told[1])} here"
    return "the cells differ"
