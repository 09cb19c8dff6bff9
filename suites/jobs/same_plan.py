"""Whether a command plans what a run folder holds."""

from __future__ import annotations

from collections.abc import Sequence

from ..store.entries import FrozenEntry
from ..store.plan import labels_of


def difference(planned: Sequence[FrozenEntry], held: Sequence[FrozenEntry]) -> str:
    """Say how the plan that a folder holds differs from one that was planned now; "" where it does not."""
    new, old = ({entry["id"]: entry for entry in entries} for entries in (planned, held))
    for one in sorted(old.keys() - new.keys()):
        return f"it has the cell {one}"
    for one in sorted(new.keys() - old.keys()):
        return f"it lacks the cell {one}"
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
