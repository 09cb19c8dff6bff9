"""A contender's process: ``python -m suites.contenders.running.child NAME``. It answers requests, one JSON line each.

It writes {"ready": true} once it has started. Requests come on its standard input:

    {"do": "prepare", "checkpoint": DIR, "cell": {...}, "source": {...}}  ->  {"setup_s", "peak_memory_bytes",
                                                                                "rss_bytes"}
    {"do": "round", "every_step": BOOL}  ->  {"token_ids", "marks_s", "every_step", "scores", "collections", "wall_s",
                                              "own_cpu_s", "busy_cpu_s", "rss_bytes", "peak_rss_bytes"}

``every_step`` asks for one of the two kinds of rounds on CUDA; on the CPU every round has marks at steps. An error is
answered by {"error": TEXT, "traceback": LINES, "status": STATUS}. The process ends when its input ends. What the
contender prints goes to standard error.
"""

from __future__ import annotations

import gc
import json
import os
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from ...settings.cells import Cell
from ...settings.faults import Fault, contained
from ...settings.features import FeatureFile
from ...settings.search import search_from
from ...timing.clock import clocks
from ...timing.quiet import wait_until_quiet
from ..contender import Contender, registry
from .conversion import convert_once
from .own_strategy import PREFIX, Own
from .source_json import from_json


def cell_of(entries: dict[str, Any]) -> Cell:
    """Make a cell from its JSON form. One that names no search, as earlier versions planned it, is greedy."""
    from strategies import ModelSpec

    model = {**entries["model"], "shape": tuple(map(tuple, entries["model"]["shape"]))}
    rows = entries["src_ids"]
    src_ids = None if rows is None else tuple(map(tuple, rows))
    made = {
        "model": ModelSpec(**model),
        "src_ids": src_ids,
        "search": search_from(entries.get("search")),
        "src_features": FeatureFile.of(entries.get("src_features")),
    }
    return Cell(**{**entries, **made})


def contender_of(name: str) -> Contender:
    """Return the contender called ``name``, or the strategy LABEL if the name is "strategy:LABEL"."""
    if name.startswith(PREFIX):
        return Own(name.removeprefix(PREFIX))
    return registry()[name]()


class Served:
    """Serves one contender in the cell that it was prepared for."""

    def __init__(self, contender: Contender) -> None:
        self._contender = contender

    def prepare(self, request: dict[str, Any]) -> dict[str, Any]:
        """Prepare the contender. ``setup_s`` is what loading takes, without what ``convert`` makes once per checkpoint.

        Peak memory is measured on CUDA alone, in untimed rounds of its own.
        """
        self._cell, self._source = cell_of(request["cell"]), from_json(request["source"])
        self._clocks = {clock.every_step: clock for clock in clocks(self._cell.device)}
        torch.set_num_threads(self._cell.threads)  # as in the run's process; this fixes MKL's threads besides
        from ...measuring.arms import rss_bytes

        checkpoint = Path(request["checkpoint"])
        convert_once(self._contender, checkpoint)
        start = time.perf_counter()
        self._contender.prepare(checkpoint, self._cell)
        setup_s, peak_bytes = time.perf_counter() - start, None
        if self._cell.device == "cuda":
            peak_bytes = self._contender.peak_memory_bytes(self._source, self._cell.stop)
        gc.collect()
        gc.freeze()
        self._rest()
        return {"setup_s": setup_s, "peak_memory_bytes": peak_bytes, "rss_bytes": rss_bytes()}

    def _rest(self) -> None:
        """Rest as the run's process does: on the CPU alone, whose threads a round on CUDA does not need."""
        if self._cell.device == "cpu":
            wait_until_quiet()

    def round(self, request: dict[str, Any]) -> dict[str, Any]:
        """Run one round under the conditions of our own: a rest and a garbage collection before, none inside.

        The CPU times are read before the rest, because reading them takes as long as some rounds do.
        """
        from ...measuring.arms import collections_so_far, rss_bytes
        from ...measuring.conditions import busy_cpu_s
        from ...measuring.resident import peak_rss_bytes

        self._contender.clock = self._clocks[request["every_step"]]
        own_s, busy_s, start = time.process_time(), busy_cpu_s(), time.perf_counter()
        self._rest()
        gc.collect()
        gc.disable()
        before = collections_so_far()
        try:
            decoded = self._contender.round(self._source, self._cell.stop)
            wall_s, own_s, now_s = time.perf_counter() - start, time.process_time() - own_s, busy_cpu_s()
            counted = collections_so_far() - before
        finally:
            gc.enable()
        self._rest()
        return asdict(decoded) | {
            "collections": counted,
            "wall_s": wall_s,
            "own_cpu_s": own_s,
            "busy_cpu_s": None if busy_s is None or now_s is None else now_s - busy_s,
            "rss_bytes": rss_bytes(),
            "peak_rss_bytes": peak_rss_bytes(),
        }


def main(name: str) -> None:
    """Answer requests until the input ends."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a line that a library prints must not look like an answer
    served = Served(contender_of(name))
    answer: dict[str, Any] = {"ready": True}
    faults: list[Fault] = []
    while True:
        answers.write(json.dumps(answer) + "\n")
        answers.flush()
        line = sys.stdin.readline()
        if not line:
            return
        request = json.loads(line)
        with contained(faults.append):  # the parent makes a failed row of it
            answer = served.prepare(request) if request["do"] == "prepare" else served.round(request)
        if faults:
            answer = {"error": faults[0].reason, "traceback": faults[0].traceback, "status": faults[0].status}


if __name__ == "__main__":
    main(sys.argv[1])
