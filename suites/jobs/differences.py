"""Whether what is measured of a run was measured by other software, or on another machine, than the rest would be."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from ..machine.environment import environment
from ..store.cell_folder import cell_folder
from ..store.schema import read_environment

VERSIONS = ("decodebench", "torch")


def differences(run_dir: Path, measured: Collection[str], *, same_machine: bool) -> list[str]:
    """Say, per fact that differs, what it was for the cells ``measured`` and what it is now.

    ``same_machine``: the rest is measured on this machine, so CPU and GPU count, too.
    """
    now = _facts(environment())
    kinds = ["code", *VERSIONS, *(("CPU", "GPU") if same_machine else ())]
    found: dict[str, str] = {}
    for cell_id in measured:
        then = _facts(read_environment(cell_folder(run_dir, cell_id)))
        for kind in kinds:
            if then.get(kind) and now.get(kind) and then[kind] != now[kind]:
                found.setdefault(kind, f"{kind} {then[kind]} there, {now[kind]} here")
    return [*found.values()]


def _facts(seen: Mapping[str, Any]) -> dict[str, str]:
    """The facts that are compared, "" where one is not known. A cell on the CPU has no GPU."""
    versions, commit = seen.get("versions") or {}, seen.get("commit")
    changed = " with uncommitted changes" if seen.get("uncommitted_changes") else ""
    return {
        "code": f"{commit[:10]}{changed}" if commit else "",
        **{name: versions.get(name, "") for name in VERSIONS},
        "CPU": seen.get("cpu") or "",
        "GPU": (seen.get("gpu") or {}).get("name") or "",
    }
