"""What is ours is found by where this package lies: another project's of that name may come first on the path."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def foreign(package: str) -> str:
    """Where Python finds another package of that name than the one beside this, which, and what to do; else ""."""
    found = find_spec(package)
    places = [] if found is None else [found.origin, *(found.submodule_search_locations or [])]
    folders = [Path(place).resolve() for place in places if place]
    if folders and not any(ROOT / package in (folder, folder.parent) for folder in folders):
        return (
            f"{folders[0]} comes before decodebench's own package {package} on Python's path; rename it, or run from "
            "another folder and without it in PYTHONPATH"
        )
    return ""
