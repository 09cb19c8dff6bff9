"""A run folder of a million decode steps: tables, ``suites.load``, ``plot`` and the report (``make bench-soak``).

    python -m tests.soak.million_steps [CELLS [FOLDER]]

Each part runs in a process of its own, which says how long it took, without imports, and its peak memory. Exits with 1
if the CPU time of ``load`` and ``plot`` together exceeds ``MOST_S``, or the memory of either ``MOST_BYTES``.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from .generated import generate

CELLS, STEPS = 1000, 500
STRATEGIES = "full_recompute,static_kv"
MOST_S, MOST_BYTES = 10.0, 2 * 10**9


def _tables(folder: Path) -> None:
    from suites.store.cell_folder import read_cells
    from suites.tables.role_table import write_roles
    from suites.tables.table_files import write_tables

    cells = read_cells(folder)
    write_tables(folder, cells)
    write_roles(folder, cells)


def _load(folder: Path) -> None:
    from suites import load

    assert len(load(folder))


def _plot(folder: Path) -> None:
    from suites.verbs.plot import main

    assert main([str(folder)]) == 0


def _report(folder: Path) -> None:
    from suites.reporting.run import write_report

    write_report(folder)


PARTS: dict[str, Callable[[Path], None]] = {"tables": _tables, "load": _load, "plot": _plot, "report": _report}


def _peak_bytes() -> int:
    """Greatest resident memory of this process so far, as the kernel counts it."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def _part(name: str, folder: Path) -> None:
    """Run one part in this process, and print its figures as the last line."""
    import matplotlib.pyplot
    import pandas

    del matplotlib, pandas
    start, used = time.perf_counter(), time.process_time()
    PARTS[name](folder)
    print(json.dumps([time.perf_counter() - start, time.process_time() - used, _peak_bytes()]))


def measured(name: str, folder: Path) -> tuple[float, int]:
    """CPU seconds and peak bytes of one part, in a child process."""
    command = [sys.executable, "-m", "tests.soak.million_steps", "--part", name, str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    seconds, cpu_s, peak = json.loads(done.stdout.splitlines()[-1])
    print(f"{name}: {seconds:.1f} s ({cpu_s:.1f} s of CPU), peak {peak / 1e9:.2f} GB", flush=True)
    return cpu_s, peak


def main(arguments: list[str]) -> int:
    """Generate the folder, run each part, and return 1 if loading and drawing exceed the limits."""
    if arguments[:1] == ["--part"]:
        _part(arguments[1], Path(arguments[2]))
        return 0
    cells = int(arguments[0]) if arguments else CELLS
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(arguments[1] if arguments[1:] else temporary)
        start = time.perf_counter()
        if not (folder / "run.json").exists():
            generate(folder, cells, STEPS, STRATEGIES)
        print(
            f"{cells} cells of {STEPS} steps of {STRATEGIES}: written in {time.perf_counter() - start:.0f} s",
            flush=True,
        )
        found = {name: measured(name, folder) for name in PARTS}
    wanted = [found["load"], found["plot"]]
    within = sum(seconds for seconds, _ in wanted) <= MOST_S and all(peak <= MOST_BYTES for _, peak in wanted)
    print("within" if within else "NOT WITHIN", f"{MOST_S:.0f} s for load and plot, and {MOST_BYTES / 1e9:.0f} GB each")
    return 0 if within else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
