"""Where decodebench's own packages and configuration files lie, derived from the location of this file.

Python's path is no safe answer: another project's package of the same name may come first on it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CONF = ROOT / "conf"


def foreign(package: str) -> str:
    """Say where Python finds a package of this name that is not decodebench's own, and what to do about it.

    Returns one sentence, or "" where Python finds decodebench's own package or none.
    """
    found = find_spec(package)
    places = [] if found is None else [found.origin, *(found.submodule_search_locations or [])]
    folders = [Path(place).resolve() for place in places if place]
    if folders and not any(ROOT / package in (folder, folder.parent) for folder in folders):
        return (
            f"{folders[0]} comes before decodebench's own package {package} on Python's path; rename it, or run from "
            "another folder and without it in PYTHONPATH"
        )
    return ""
