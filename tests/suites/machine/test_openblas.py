"""numpy's OpenBLAS, loaded with a single thread, gets back those that it would have had."""

import os
import subprocess
import sys

import pytest

from suites.machine.cores import MAPS
from tests.command import ROOT

ASKS = """
import ctypes, os, sys
import numpy
from suites.machine.cores import MAPS
from suites.machine.openblas import OPENBLAS, SETTERS, use_cores
if "use_cores" in sys.argv:
    use_cores()
libraries = [ctypes.CDLL(path) for path in set(OPENBLAS.findall(MAPS.read_text()))]
names = [name.replace("set", "get") for name in SETTERS]
print([getattr(one, name)() for one in libraries for name in names if hasattr(one, name)])
print("OPENBLAS_NUM_THREADS" in os.environ)
"""


def threads(*arguments, **environment):
    """(the threads of each OpenBLAS in a process that has imported numpy, whether its environment limits them)."""
    others = {name: value for name, value in os.environ.items() if not name.endswith("_NUM_THREADS")}
    done = subprocess.run(
        [sys.executable, "-c", ASKS, *arguments],
        env={**others, **environment, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout.split("\n")[:2]


@pytest.mark.skipif(not MAPS.exists(), reason="libraries are found in /proc")
def test_one_thread_at_import_becomes_as_many_as_without_a_limit():
    freely, _ = threads()
    if freely in ("[]", "[1]"):
        pytest.skip("numpy has no OpenBLAS, or there is one core")
    assert threads(OPENBLAS_NUM_THREADS="1") == ["[1]", "True"]
    assert threads("use_cores", OPENBLAS_NUM_THREADS="1") == [freely, "False"]
