"""The cores that this process may use, also after OpenMP has bound the main thread to one of them."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

BINDING = ("OMP_PROC_BIND", "OMP_PLACES", "GOMP_CPU_AFFINITY", "KMP_AFFINITY")
"""Variables that have OpenMP bind threads: the main thread too, to one core, as soon as torch is imported."""


def _of_this_thread() -> frozenset[int]:
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


NOTED = _of_this_thread()
"""When this module was imported, before the others of this package, which import torch."""


def allowed() -> frozenset[int]:
    """Numbers of the cores that the whole process may use: ``NOTED`` where OpenMP binds threads, else by affinity."""
    return NOTED if any(os.environ.get(name) for name in BINDING) else _of_this_thread()


@contextlib.contextmanager
def all_allowed() -> Iterator[None]:
    """What this thread starts inside may use every core of ``allowed``: a process inherits the cores of its thread."""
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed())
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)
