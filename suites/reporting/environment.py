"""The environment of a run, in (name, value) pairs for people."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from ..words.quantity import quantity


def environment_lines(kept: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Word the content of environment.json. What the folder does not record is left out."""
    gpu, versions = (found if isinstance(found := kept.get(name), dict) else {} for name in ("gpu", "versions"))
    changed = " with uncommitted changes" if kept.get("uncommitted_changes") else ""
    load, memory = kept.get("load_average"), kept.get("memory_bytes")
    found = {
        "CPU": kept.get("cpu"),
        "instruction set": kept.get("cpu_capability"),
        "cores": kept.get("cores"),
        "cores that the run could use": _limit(kept.get("cores_limit"), str),
        "threads by default": _limit(kept.get("threads_limit"), str),
        "memory": _size(memory),
        "memory that the run could use": _limit(kept.get("memory_limit"), _size),
        "GPU": gpu.get("name"),
        "GPU memory": _size(gpu.get("memory_bytes")),
        "GPU compute capability": gpu.get("capability"),
        "GPU multiprocessors": gpu.get("sms"),
        "GPU L2 cache": _size(gpu.get("l2_bytes")),
        "GPU clock at the start": _clock(gpu.get("sm_mhz"), gpu.get("sm_mhz_max")),
        "GPU memory clock at the start": _clock(gpu.get("memory_mhz"), gpu.get("memory_mhz_max")),
        "GPU power limit": f"{limit:.0f} W" if isinstance(limit := gpu.get("power_limit_w"), int | float) else None,
        "GPU driver": gpu.get("driver"),
        "CUDA": gpu.get("cuda"),
        "cuDNN": gpu.get("cudnn"),
        "system": kept.get("os"),
        "commit": f"{kept['commit']}{changed}" if kept.get("commit") else None,
        "load at the start (1, 5, 15 min)": ", ".join(map(_short, load)) if isinstance(load, list) else None,
        **versions,
    }
    return [(name, str(value)) for name, value in found.items() if value not in (None, "")]


def _size(amount: Any) -> str | None:
    """Write a number of bytes for people; return anything else as it is."""
    return quantity(amount, "B") if isinstance(amount, int | float) and amount > 0 else amount


def _clock(now_mhz: Any, most_mhz: Any) -> str | None:
    """Write a clock and its maximum, in MHz; None unless both are known."""
    known = isinstance(now_mhz, int | float) and isinstance(most_mhz, int | float)
    return f"{now_mhz:.0f} of {most_mhz:.0f} MHz" if known else None


def _limit(kept: Any, told: Callable[[Any], str | None]) -> str | None:
    """Write an amount and what bounds it. ``kept`` is a ``limits.Limit`` as plain data."""
    return f"{told(kept.get('amount'))}, by {kept.get('bound_by')}" if isinstance(kept, dict) else None


def _short(value: Any) -> str:
    return f"{value:.2f}" if isinstance(value, int | float) else str(value)
