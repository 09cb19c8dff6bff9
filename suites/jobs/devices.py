"""The cells of a run on all GPUs of this machine: each GPU takes the next cell when it is free."""

from __future__ import annotations

import contextlib
import os
import queue
import threading
from collections.abc import Collection, Sequence
from pathlib import Path

from strategies import Mistake

from ..machine.signals import stop_requested
from ..settings.config import ConfigError
from ..store.entries import FrozenEntry
from ..words.progress import Progress
from .cells import Cells
from .measure_cell import measure_entry

VISIBLE = "CUDA_VISIBLE_DEVICES"


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
    raises, of the first worker that raises; the others end after their cell.
    """
    work = sum(entry["predicted_work"] for entry in entries)
    on_cuda = [entry for entry in entries if entry["cell"]["device"] == "cuda"]
    with Progress(work, len(entries)) as progress:
        _worker(run_dir, _queued([entry for entry in entries if entry not in on_cuda]), progress, [], {})
        left, raised = _queued(on_cuda), list[Exception]()
        workers = [
            threading.Thread(target=_worker, args=(run_dir, left, progress, raised, {VISIBLE: gpu})) for gpu in gpus
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
    if raised:
        raise raised[0]


def _queued(entries: Sequence[FrozenEntry]) -> queue.SimpleQueue[FrozenEntry]:
    waiting: queue.SimpleQueue[FrozenEntry] = queue.SimpleQueue()
    for entry in entries:
        waiting.put(entry)
    return waiting


def _worker(
    run_dir: Path,
    left: queue.SimpleQueue[FrozenEntry],
    progress: Progress,
    raised: list[Exception],
    environment: dict[str, str],
) -> None:
    """Measure one cell after another, on the device that ``environment`` makes visible, until none is left."""
    with contextlib.closing(Cells(**environment)) as cells, contextlib.suppress(queue.Empty, KeyboardInterrupt):
        while not stop_requested() and not raised:
            entry = left.get_nowait()
            try:
                measure_entry(run_dir, entry, cells, progress)
            except (OSError, Mistake) as error:
                if not environment:
                    raise
                raised.append(error)
