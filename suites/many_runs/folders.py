"""Find run folders: those that are named, and those that lie in folders that are named."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from ..store.files import ResultsError, exists, is_folder


def run_folders(named: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """Return (each run folder once, one line for each named folder that is or holds none).

    A run folder holds run.json, and what lies within it is not searched. A link, such as results/latest, counts as the
    folder that it leads to. Hidden folders are left out.
    """
    found: dict[Path, Path] = {}
    lines = []
    for path in named:
        if not is_folder(path):
            lines.append(f"{path} is no folder; give folders that `run` wrote, or folders that hold these")
            continue
        seen: set[Path] = set()
        runs = list(_within(path, seen))
        for run in runs:
            # Of a folder and a link to it, the name of the folder is shown.
            if run.resolve() not in found or found[run.resolve()].is_symlink():
                found[run.resolve()] = run
        if not runs:
            lines.append(f"{path} holds no run folder (one with run.json); give a folder that `run` wrote")
    return list(found.values()), lines


def _within(path: Path, seen: set[Path]) -> Iterator[Path]:
    if exists(path / "run.json"):
        yield path
        return
    if path.resolve() in seen:
        return
    seen.add(path.resolve())
    try:
        held = sorted(path.iterdir())
    except OSError as error:
        raise ResultsError(f"{path} cannot be read ({error.strerror}); give folders that you may read") from None
    for one in held:
        if not one.name.startswith(".") and is_folder(one):
            yield from _within(one, seen)
