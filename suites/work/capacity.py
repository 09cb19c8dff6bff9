"""Up to which batch and length decoding fits in a memory, by the closed formula of its peak."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from strategies import DTYPES, ModelConfig, Strategy, StrategyError
from strategies.models.footprint import Remembered, peak_bytes

from ..machine.limits import Limit, memory_limit
from ..settings.cells import Cell
from ..settings.config import MAX_LENGTH
from ..words.quantity import quantity

GIB = 1 << 30


def device_memory(device: str) -> Limit:
    """Bytes that weights and decoding may use: the GPU's memory, or what this process may use of the machine's."""
    if device == "cuda":
        return Limit(int(torch.cuda.get_device_properties(0).total_memory), "the GPU's memory")
    return memory_limit()


def memory_given(given_gib: float | None, device: str) -> Limit:
    """What forecasts are for: the memory that is given, or the device's."""
    if given_gib is None:
        return device_memory(device)
    return Limit(int(given_gib * GIB), f"measure.memory_gib={given_gib:g}")


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
    return peak_bytes(config, cell.batch_size, cell.src_len, last, kept, DTYPES[cell.dtype], padded)


def most(need: Callable[[int], int], memory_bytes: int) -> int:
    """The largest n for which ``need(n)``, which grows with n, fits; 0 if not even 1 does. No more than MAX_LENGTH.

    >>> most(lambda n: 3 * n + 1, 100)
    33
    """
    high = 1
    while high < MAX_LENGTH and need(high) <= memory_bytes:
        high *= 2
    low, high = high // 2, min(high, MAX_LENGTH)
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


def why_too_large(
    config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool, weight_bytes: int, memory: Limit
) -> str:
    """Why a case is not started, or "": it needs more than ``memory``, or than its device has.

    Raises StrategyError as ``predicted_peak_bytes``.
    """
    memory = min(memory, device_memory(cell.device), key=lambda limit: limit.amount)
    needed = weight_bytes + predicted_peak_bytes(config, cell, strategy, padded)
    if needed <= memory.amount:
        return ""
    largest = capacity(config, cell, strategy, padded, weight_bytes, memory.amount).batch_max
    options = any(getattr(strategy, field.name) != field.default for field in dataclasses.fields(strategy))
    none = "no batch fits" + (" with these options" if options else "")
    fits = f"batch_size={largest} fits" if largest else none
    return (
        f"needs {quantity(needed, 'B')} by the formula, weights included, and there are "
        f"{quantity(memory.amount, 'B')} ({memory.bound_by}); at these lengths {fits}"
    )
