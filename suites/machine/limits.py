"""How many cores, threads and bytes of memory this process may use, and what sets each limit.

A control group (cgroup) is a container, a batch system's job or a systemd slice. It limits every group below it, so the
limits of the process's own group and of all groups above it hold. Both versions are read: version 1, in which each
controller has a hierarchy of its own, and version 2.
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
"""Folder that holds /proc and /sys."""


@dataclass(frozen=True)
class Limit:
    """A limit: ``amount`` in bytes, cores or threads, and ``bound_by``, which says in words what sets it."""

    amount: int
    bound_by: str


def memory_limit(root: Path = ROOT) -> Limit:
    """Memory that this process may use, in bytes: the machine's, or less where a control group allows less."""
    found = [Limit(int(psutil.virtual_memory().total), "this machine's memory")]
    for folder, name in _groups("memory", root):
        for file in ("memory.max", "memory.limit_in_bytes"):
            if (allowed := _numbers(folder / file)) and allowed[0] > 0:
                found.append(Limit(allowed[0], f"{file} of the control group {name}"))
    return min(found, key=lambda limit: limit.amount)


def memory_left(root: Path = ROOT) -> Limit:
    """Memory that this process may still take, in bytes: what the machine has available, within each group's limit.

    What a group holds of files that nobody writes is not counted as taken: the kernel gives it up first.
    """
    found = [Limit(int(psutil.virtual_memory().available), "this machine's available memory")]
    for folder, name in _groups("memory", root):
        for limit, usage, idle in (
            ("memory.max", "memory.current", "inactive_file"),
            ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file"),
        ):
            allowed, taken = _numbers(folder / limit), _numbers(folder / usage)
            if allowed and allowed[0] > 0 and taken:
                left = allowed[0] - taken[0] + _counted(folder / "memory.stat", idle)
                found.append(Limit(max(0, left), f"what {limit} of the control group {name} leaves"))
    return min(found, key=lambda limit: limit.amount)


def oom_kills(root: Path = ROOT) -> dict[str, int]:
    """Count the processes that the kernel has killed for lack of memory: in this process's group, and on the machine.

    The keys say in words whose memory it was. A kill in a group counts for the machine too, so the group comes first. A
    figure that cannot be read is 0.
    """
    found = {}
    for folder, name in _groups("memory", root):
        for file in ("memory.events", "memory.oom_control"):
            if (folder / file).exists():
                found[f"the control group {name}"] = _counted(folder / file, "oom_kill")
    return {**dict(list(found.items())[:1]), "this machine": _counted(root / "proc/vmstat", "oom_kill")}


def _counted(path: Path, key: str) -> int:
    """The number beside a key in a file with a key and a number in each line; 0 where it is not there."""
    for line in _lines(path):
        name, _, number = line.partition(" ")
        if name == key and number.strip().isdecimal():
            return int(number)
    return 0


def cores_limit(root: Path = ROOT) -> Limit:
    """Number of cores that this process may use at once: by affinity, or by a control group's quota of CPU time.

    A quota of 2.5 cores counts as 2, since a third thread would be halted in every period.
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
    """Default number of threads: ``cores_limit``, or OMP_NUM_THREADS where that is less."""
    cores = cores_limit(root)
    # OMP_NUM_THREADS=4,2 asks for 4 threads, and for 2 in parallel regions inside others.
    asked = re.match(r"\s*(\d{1,6})\s*(,|$)", os.environ.get("OMP_NUM_THREADS", ""))
    if asked and 0 < int(asked[1]) < cores.amount:
        return Limit(int(asked[1]), f"OMP_NUM_THREADS={asked[1]}")
    return cores


def _groups(controller: str, root: Path) -> Iterator[tuple[Path, str]]:
    """Folders and names of the control groups that hold this process, innermost first; none where there is none."""
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
        # In a container the mount may show only part of the hierarchy. Its top is then the nearest visible group.
        mine = own[key]
        parts = mine.relative_to(top).parts if mine.is_relative_to(top) and ".." not in mine.parts else ()
        for depth in range(len(parts), -1, -1):
            yield place.joinpath(*parts[:depth]), str(top.joinpath(*parts[:depth]))


def _unescaped(text: str) -> str:
    r"""Decode a path of /proc/self/mountinfo, which writes a space as \040."""
    return re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), text)


def _lines(path: Path) -> list[str]:
    """The lines of a file; none where it cannot be read."""
    try:
        return path.read_text(errors="replace").splitlines()
    except OSError:
        return []


def _numbers(path: Path) -> list[int]:
    """The whole numbers in a file's first line; none where it holds another word, such as "max", or cannot be read."""
    words = next(iter(_lines(path)), "").split()
    return [int(word) for word in words] if all(re.fullmatch(r"-?\d{1,25}", word) for word in words) else []
