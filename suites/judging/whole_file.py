"""The batches of a file of texts taken together, as one cell whose rounds each decode the whole file."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ..store.cell_folder import CellResult
from ..store.records import Round
from .baseline import end_to_end_s, timed_s

SAME = (
    "model", "device", "dtype", "weights", "linear", "attention", "tf32", "search", "threads", "stop", "seed",
    "tgt_len",
)  # fmt: skip
"""Keys of cell.json that have one value in all batches of a file."""
Batches = Mapping[tuple[int, int], CellResult]
"""Cells by their first sentence and their number of sentences."""


@dataclass(frozen=True)
class WholeFile:
    """A file all of whose batches were measured.

    ``result`` has the cases that every batch has, and of each the rounds that it has in every batch: the time of one is
    the sum of the times of the rounds with its index. Pairs of rounds stay pairs.
    """

    sentences: int
    batches: int
    batch_size: int
    result: CellResult


def whole_files(cells: Sequence[CellResult]) -> Iterator[WholeFile]:
    """Yield each file of a run that is more than one cell, once for every way in which it was cut and decoded.

    ``cells`` must be all that the run planned: the file of a run that lacks a batch would end before it.
    """
    found: dict[str, dict[tuple[int, int], CellResult]] = {}
    for done in cells:
        if first := done.cell.get("first_sentence", 0):
            key = json.dumps([done.cell.get(name) for name in SAME], sort_keys=True)
            found.setdefault(key, {})[first, done.cell["batch_size"]] = done
    for mine in found.values():
        for size in sorted(size for first, size in mine if first == 1):
            batches = _in_order(mine, size)
            sentences = sum(batch.cell["batch_size"] for batch in batches)
            if len(mine) > 1 and (rounds := list(_summed(batches))):
                timed = {done.strategy for done in rounds}
                arms = [arm for arm in batches[0].arms if arm.strategy in timed and arm.status == "ok"]
                result = replace(batches[0], arms=arms, rounds=rounds, calibrations=[], conditions=None)
                yield WholeFile(sentences, len(batches), size, result)


def _in_order(mine: Batches, size: int) -> list[CellResult]:
    """The batches of ``size`` sentences from the first on, and a smaller last one."""
    batches, first = [], 1
    while (first, size) in mine:
        batches.append(mine[first, size])
        first += size
    if left := max((count for start, count in mine if start == first and count < size), default=0):
        batches.append(mine[first, left])
    return batches


def _timed(batch: CellResult) -> dict[str, dict[int, float]]:
    failed = {arm.strategy for arm in batch.arms} - {*timed_s(batch)}
    labels = dict.fromkeys(done.strategy for done in batch.rounds if done.strategy not in failed)
    return {label: end_to_end_s(batch.rounds, label) for label in labels}


def _summed(batches: Sequence[CellResult]) -> Iterator[Round]:
    """The rounds of arms that succeeded in every batch, and of the A/A arms beside them."""
    times = [_timed(batch) for batch in batches]
    for label in times[0]:
        if all(label in timed for timed in times):
            for index in sorted(set.intersection(*(set(timed[label]) for timed in times))):
                marks = (0.0, sum(timed[label][index] for timed in times))
                yield Round(label, index, warmup=False, every_step=True, marks_s=list(marks))
