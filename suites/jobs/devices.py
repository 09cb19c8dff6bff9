"""The cells of a run on all GPUs of this machine: each GPU takes the next cell when it is free."""

from __future__ import annotations

import contextlib
import os
from collections import deque
from collections.abc import Collection, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from pathlib import Path

from ..machine.signals import finished_first
from ..settings.config import ConfigError
from ..store.plan_entries import FrozenEntry
from ..words.progress import Progress
from .apart import ENDING_S
from .cells import Cells
from .local import measure_in_turn

VISIBLE = "CUDA_VISIBLE_DEVICES"
NAME = "worker of a GPU"
"""Begins the names of the workers' threads."""
HEARD_S = 0.2
"""Seconds within which a signal is heard that the kernel gave to a worker's thread: only the main one has handlers."""
KILLED_S = 0.2
"""Seconds in which a worker whose processes were killed should have ended."""


def devices() -> list[str]:
    """The GPUs that this process may use, as ``CUDA_VISIBLE_DEVICES`` names them."""
    import torch

    count = torch.cuda.device_count()
    named = [name.strip() for name in os.environ.get(VISIBLE, "").split(",") if name.strip()]
    return named[:count] if named else [str(number) for number in range(count)]


def require_devices(isolates: Collection[str]) -> None:
    """Raise ConfigError if cluster.gpus=all means nothing here: no GPU, or cells that have no process of their own."""
    if not devices():
        raise ConfigError("cluster.gpus=all: no CUDA device here; leave it out")
    if "none" in isolates:
        raise ConfigError("cluster.gpus=all is not allowed with isolate=none, as each GPU has processes of its own")


def measure_on_all(run_dir: Path, entries: Sequence[FrozenEntry], gpus: Sequence[str]) -> None:
    """Measure planned cells: those on the CPU one after another, then those on CUDA with a worker for each of ``gpus``.

    Cells on the CPU would disturb one another, and cells on GPUs would disturb them. Raises what ``measure_here``
    raises, of a worker that raises; the others end after their cell.
    """
    work = sum(entry["predicted_work"] for entry in entries)
    with Progress(work, len(entries)) as progress:
        with contextlib.closing(Cells()) as cells, progress.part() as alone:
            measure_in_turn(run_dir, deque(entry for entry in entries if not _is_on_cuda(entry)), cells, alone)
        Workers(run_dir, [entry for entry in entries if _is_on_cuda(entry)], gpus, progress).run()


def _is_on_cuda(entry: FrozenEntry) -> bool:
    return bool(entry["cell"]["device"] == "cuda")


class Workers:
    """Threads that measure cells, one for each GPU; each takes the next cell once its own is done."""

    def __init__(self, run_dir: Path, entries: Sequence[FrozenEntry], gpus: Sequence[str], progress: Progress) -> None:
        self._run_dir, self._left, self._progress = run_dir, deque(entries), progress
        self._cells = [Cells(**{VISIBLE: gpu}) for gpu in gpus]

    def run(self) -> None:
        """Measure all cells. No thread and no process is left afterwards, also if this raises.

        A request to stop is told to the process of each worker; they end with their rounds, and no cell begins. A
        second Ctrl-C ends them at once, and is raised.
        """
        with ThreadPoolExecutor(len(self._cells), NAME) as pool:
            workers: list[Future[None]] = []
            try:
                with finished_first():
                    for cells in self._cells:
                        workers.append(pool.submit(self._work, cells))
                    while wait(workers, HEARD_S).not_done:
                        pass
            except KeyboardInterrupt:
                self._stop_now(workers)
                raise
        for worker in workers:
            worker.result()

    def _work(self, cells: Cells) -> None:
        """Measure one cell after another in processes of ``cells``, until none is left."""
        with contextlib.closing(cells), self._progress.part() as progress, contextlib.suppress(KeyboardInterrupt):
            try:
                measure_in_turn(self._run_dir, self._left, cells, progress)
            except Exception:
                self._left.clear()
                raise

    def _stop_now(self, workers: Sequence[Future[None]]) -> None:
        """Have the processes stop, and kill those that do not."""
        self._left.clear()
        try:
            for _ in range(2):  # an interrupt that follows another closely may be one with it for the system
                for cells in self._cells:
                    cells.hurry()
                if not wait(workers, ENDING_S / 2).not_done:
                    return
        finally:  # a third Ctrl-C does not wait
            while wait(workers, KILLED_S).not_done:
                for cells in self._cells:
                    cells.kill()
