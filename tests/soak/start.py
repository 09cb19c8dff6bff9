"""How much later a sweep of 1,000 cells begins its first cell than a single cell does (``make bench-soak``).

    python -m tests.soak.start [CELLS [PAIRS]]

The command is that of a user. It is ended as soon as its first cell has a folder, with its try.json. CPU time is that
of its process until then, which other processes of the machine disturb less than the time that passes. Exits with 1 if
the median difference of CPU times exceeds ``MOST_S``.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

import psutil

CELLS, PAIRS = 1000, 3
BATCHES = 2
MOST_S = 5.0


def until_first(cells: int) -> tuple[float, float]:
    """Seconds, and CPU seconds, from the command for a sweep of ``cells`` cells to the begin of its first cell."""
    with tempfile.TemporaryDirectory() as folder:
        swept = [f"seq_len=range(8,{8 + cells // BATCHES})", "batch_size=1,2"] if cells > 1 else ["seq_len=8"]
        keys = ["model=tiny", "isolate=none", *swept, f"hydra.run.dir='{folder}/run'"]
        began_s = time.monotonic()
        with subprocess.Popen(
            [sys.executable, "-m", "suites", "run", *keys], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        ) as process:
            while not any(Path(folder, "run").glob("cells/*/try.json")):
                if process.poll() is not None:
                    raise RuntimeError(f"no cell was begun: {process.stderr and process.stderr.read().decode()}")
                time.sleep(0.01)
            took_s, times = time.monotonic() - began_s, psutil.Process(process.pid).cpu_times()
            process.kill()
    return took_s, times.user + times.system


def main() -> int:
    """Start both in turn, print the figures, and return 1 if the sweep begins too late."""
    cells, pairs = (int(one) for one in (*sys.argv[1:], *(CELLS, PAIRS)[len(sys.argv) - 1 :]))
    later_s = []
    for _ in range(pairs):
        (one_s, one_cpu_s), (many_s, many_cpu_s) = until_first(1), until_first(cells)
        later_s.append(many_cpu_s - one_cpu_s)
        print(
            f"one cell begins after {one_s:.1f} s ({one_cpu_s:.1f} s of CPU), "
            f"the first of {cells} after {many_s:.1f} s ({many_cpu_s:.1f} s of CPU)",
            flush=True,
        )
    within = median(later_s) <= MOST_S
    print(f"{median(later_s):.1f} s of CPU later:", "within" if within else "NOT WITHIN", f"{MOST_S:.0f} s")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main())
