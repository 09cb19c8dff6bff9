"""Up to which batch and length decoding fits in a memory, by the closed formula of its peak."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import psutil
import torch

from strategies import DTYPES, ModelConfig, Strategy, StrategyError
from strategies.models.footprint import Remembered, peak_bytes

from .cells import Cell
from .quantity import quantity

GIB = 1 << 30
CONTROL_GROUP = Path("/sys/fs/cgroup/memory.max")
MOST = 1 << 30
"""Sentences or tokens beyond which nobody asks."""


def device_memory_bytes(device: str, limit: Path = CONTROL_GROUP) -> int:
    """All of the GPU's memory; the machine's, or less where a control group (a container's) allows less."""
    if device == "cuda":
        return int(torch.cuda.get_device_properties(0).total_memory)
    total = int(psutil.virtual_memory().total)
    try:
        return min(total, int(limit.read_text()))
    except (OSError, ValueError):  # there is none, or it says "max"
        return total


def memory_bytes(given_gib: float | None, device: str) -> int:
    """What weights and decoding may use: what is given, or all that the device has."""
    return device_memory_bytes(device) if given_gib is None else int(given_gib * GIB)


def predicted_peak_bytes(config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool) -> int:
    """Peak of live tensor bytes above the weights. Raises StrategyError where the strategy cannot hold the target."""
    bound, last = strategy.bind(cell.tgt_len), cell.tgt_len
    kept = Remembered(
        # Before the first step, of which facts do not speak: what is there for good, or what its key does not fill.
        reserved_first=bound.rows_reserved(1) - (0 if bound.static else bound.rows_used(1)),
        reserved_last=bound.rows_reserved(last),
        copied=bound.rows_copied(last),
        rows=bound.rows_fed(last),
        keys=bound.keys_read(last),
        cross=bound.cross == "cached",
    )
    return peak_bytes(config, cell.batch_size, cell.src_len, last, kept, DTYPES[cell.dtype].itemsize, padded)


def most(need: Callable[[int], int], memory_bytes: int) -> int:
    """The largest n for which ``need(n)``, which grows with n, fits; 0 if not even 1 does. No more than MOST.

    >>> most(lambda n: 3 * n + 1, 100)
    33
    """
    high = 1
    while high < MOST and need(high) <= memory_bytes:
        high *= 2
    low, high = high // 2, min(high, MOST)
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if need(middle) <= memory_bytes else (low, middle)
    return low


@dataclass(frozen=True)
class Capacity:
    """Of a strategy in a cell. ``batch_max``: at its lengths; ``length_max``: of source and target, at its batch."""

    peak_bytes: int
    batch_max: int
    length_max: int


def capacity(
    config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool, weight_bytes: int, memory_bytes: int
) -> Capacity:
    """What fits in ``memory_bytes``, weights included. Raises StrategyError as ``predicted_peak_bytes``."""
    cell = replace(cell, src_ids=None)

    def need(sized: Cell) -> int:
        try:
            return weight_bytes + predicted_peak_bytes(config, sized, strategy, padded)
        except StrategyError:  # longer than the strategy's own limit
            return memory_bytes + 1

    return Capacity(
        predicted_peak_bytes(config, cell, strategy, padded),
        most(lambda n: need(replace(cell, batch_size=n)), memory_bytes),
        most(lambda n: need(replace(cell, src_len=n, tgt_len=n)), memory_bytes),
    )


def why_too_large(found: Capacity, weight_bytes: int, memory_bytes: int) -> str:
    """Why a case is not started, or ""."""
    needed = weight_bytes + found.peak_bytes
    if needed <= memory_bytes:
        return ""
    fits = f"batch_size={found.batch_max} fits" if found.batch_max else "no batch fits"
    return (
        f"needs {quantity(needed, 'B')} by the formula, weights included, and there are {quantity(memory_bytes, 'B')}; "
        f"at these lengths {fits}"
    )
