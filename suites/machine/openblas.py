"""The threads of numpy's OpenBLAS, where it was loaded with a single one."""

from __future__ import annotations

import contextlib
import ctypes
import os
import re

from .cores import MAPS, allowed

OPENBLAS = re.compile(r"/\S*openblas[^/\s]*$", re.MULTILINE)
SETTERS = ("scipy_openblas_set_num_threads64_", "scipy_openblas_set_num_threads", "openblas_set_num_threads")


def use_cores() -> None:
    """Let OpenBLAS use the cores that this process may use, as it does where nothing else was asked for."""
    with contextlib.suppress(OSError):  # no /proc
        for path in set(OPENBLAS.findall(MAPS.read_text())):
            library = ctypes.CDLL(path)
            setter = next((getattr(library, name) for name in SETTERS if hasattr(library, name)), None)
            if setter is not None:
                setter(len(allowed()))
    os.environ.pop("OPENBLAS_NUM_THREADS", None)
