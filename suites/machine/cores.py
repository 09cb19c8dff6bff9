"""CPU cores that this process may use, found also after OpenMP has bound the main thread to one of them."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re
from collections.abc import Iterator
from pathlib import Path

MAPS = Path("/proc/self/maps")
OPENMP = re.compile(r"/\S*/lib(?:gomp|iomp5|omp)\b[^/\s]*$", re.MULTILINE)


def places() -> frozenset[int]:
    """Numbers of the cores that OpenMP binds threads to; empty where it binds none or is not loaded.

    ``OMP_PROC_BIND``, ``OMP_PLACES`` and ``GOMP_CPU_AFFINITY`` make OpenMP bind threads as soon as torch is imported.
    It binds the main thread too, whose affinity is a single place from then on. The functions called are those of
    OpenMP 4.5.
    """
    found: set[int] = set()
    with contextlib.suppress(OSError, AttributeError):  # no /proc, or a library without these functions
        for path in set(OPENMP.findall(MAPS.read_text())):
            library = ctypes.CDLL(path)
            for place in range(library.omp_get_num_places()):
                cores = (ctypes.c_int * library.omp_get_place_num_procs(place))()
                library.omp_get_place_proc_ids(place, cores)
                found.update(cores)
    return frozenset(found)


def allowed() -> frozenset[int]:
    """Numbers of the cores that the whole process may use: OpenMP's places or, without any, the thread's affinity."""
    if bound := places():
        return bound
    if hasattr(os, "sched_getaffinity"):
        return frozenset(os.sched_getaffinity(0))
    return frozenset(range(os.cpu_count() or 1))


@contextlib.contextmanager
def all_allowed() -> Iterator[None]:
    """Let processes that are started inside the ``with`` block use every core of ``allowed``.

    A process inherits the affinity of the thread that starts it, so this thread's affinity is widened meanwhile.
    """
    if not hasattr(os, "sched_setaffinity"):
        yield
        return
    bound = os.sched_getaffinity(0)
    os.sched_setaffinity(0, allowed())
    try:
        yield
    finally:
        os.sched_setaffinity(0, bound)
