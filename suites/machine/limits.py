"""How much of the machine this process may use, and what bounds it: cores, memory, control groups, OMP_NUM_THREADS.

A control group (cgroup; a container, a batch system's job, a systemd slice) limits all that lies below it, so those of
the process's own group and of every group above it hold: in version 1, where each controller has a hierarchy of its
own, and in version 2.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import psutil

from .cores import allowed as allowed_cores

ROOT = Path("/")
"""Where /proc and /sys are looked for."""


@dataclass(frozen=True)
class Limit:
    """So many bytes, cores or threads, and in words what allows no more."""

    amount: int
    bound_by: str


def memory_limit(root: Path = ROOT) -> Limit:
    """The machine's memory in bytes, or less where a control group allows less."""
    found = [Limit(int(psutil.virtual_memory().total), "this machine's memory")]
    for folder, name in _groups("memory", root):
        for file in ("memory.max", "memory.limit_in_bytes"):
            if (allowed := _numbers(folder / file)) and allowed[0] > 0:
                found.append(Limit(allowed[0], f"{file} of the control group {name}"))
    return min(found, key=lambda limit: limit.amount)


def cores_limit(root: Path = ROOT) -> Limit:
    """Cores that this process may run on at once: by affinity, or by a control group's quota of CPU time.

    A quota of 2.5 cores is 2: a third thread would be halted in every period.
    """
    count = os.cpu_count() or 1
    allowed = len(allowed_cores())
    found = [Limit(allowed, "this machine's cores" if allowed == count else "the process's CPU affinity")]
    for folder, name in _groups("cpu", root):
        quotas = {
            "cpu.max": _numbers(folder / "cpu.max"),
            "cpu.cfs_quota_us": _numbers(folder / "cpu.cfs_quota_us") + _numbers(folder / "cpu.cfs_period_us"),
        }
        for file, numbers in quotas.items():
            if len(numbers) == 2 and min(numbers) > 0:
                found.append(Limit(max(1, numbers[0] // numbers[1]), f"{file} of the control group {name}"))
    return min(found, key=lambda limit: limit.amount)


def threads_limit(root: Path = ROOT) -> Limit:
    """Threads to use unless another number is asked for: the cores, or OMP_NUM_THREADS where that is less."""
    cores = cores_limit(root)
    # "4,2" asks for 4, and for 2 in parallel regions inside others.
    asked = re.match(r"\s*(\d{1,6})\s*(,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    if asked and 0 < int(asked[1]) < cores.amount:
        return Limit(int(asked[1]), f"OMP_NUM_THREADS={asked[1]}")
    return cores


def _groups(controller: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Folders of the control groups that this process is in, its own first, with their names; none where none is."""
    own: dict[str, PurePosixPath] = {}
    for line in _lines(root / "proc/self/cgroup"):
        controllers, _, path = line.partition(":")[2].partition(":")
        own |= dict.fromkeys(controllers.split(","), PurePosixPath(path))  # version 2 names no controller
    for line in _lines(root / "proc/self/mountinfo"):
        mount, kind = line.partition(" - ")[0].split(), line.partition(" - ")[2].split()
        if len(mount) < 5 or len(kind) < 3 or kind[0] not in ("cgroup", "cgroup2"):
            continue
        key = "" if kind[0] == "cgroup2" else controller
        if key not in own or (key and key not in kind[2].split(",")):
            continue
        top, place = PurePosixPath(_unescaped(mount[3])), root / _unescaped(mount[4]).lstrip("/")
        # In a container the mount may show less than the whole hierarchy: then its top is the nearest that is seen.
        mine = own[key]
        parts = mine.relative_to(top).parts if mine.is_relative_to(top) and ".." not in mine.parts else ()
        for depth in range(len(parts), -1, -1):
            yield place.joinpath(*parts[:depth]), str(top.joinpath(*parts[:depth]))


def _unescaped(text: str) -> str:
    r"""A path of mountinfo, which writes a space as \040."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)


def _lines(path: Path) -> list[str]:
    """Of a file; none where it cannot be read."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _numbers(path: Path) -> list[int]:
    """The whole numbers of a file's first line; none where it says "max", or cannot be read."""
    words = next(iter(_lines(path)), "").split()
    return [int(word) for word in words] if all(re.fullmatch(r"-?\d{1,25}", word) for word in words) else []
