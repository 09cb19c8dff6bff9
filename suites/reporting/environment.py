"""What a run was made with, as pairs for people."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..quantity import quantity


def environment_lines(kept: Mapping[str, Any]) -> list[tuple[str, str]]:
    """From environment.json; what a folder does not have is absent."""
    gpu = kept.get("gpu") or {}
    versions = kept.get("versions") or {}
    changed = " with uncommitted changes" if kept.get("uncommitted_changes") else ""
    load = kept.get("load_average")
    found = {
        "CPU": kept.get("cpu"),
        "instruction set": kept.get("cpu_capability"),
        "cores": kept.get("cores"),
        "memory": quantity(kept["memory_bytes"], "B") if kept.get("memory_bytes") else None,
        "GPU": gpu.get("name"),
        "GPU memory": quantity(gpu["memory_bytes"], "B") if gpu.get("memory_bytes") else None,
        "CUDA": gpu.get("cuda"),
        "system": kept.get("os"),
        "commit": f"{kept['commit']}{changed}" if kept.get("commit") else None,
        "load at the start (1, 5, 15 min)": ", ".join(f"{value:.2f}" for value in load) if load else None,
        **versions,
    }
    return [(name, str(value)) for name, value in found.items() if value not in (None, "")]
