"""The largest batch and length at which decoding fits in memory, by the closed formula of its peak memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from strategies import DTYPES, ModelConfig, Strategy, StrategyError
from strategies.models.footprint import Remembered, peak_bytes
from strategies.search.begin import bytes_per_logit

from ..machine.limits import Limit, memory_limit
from ..settings.cells import Cell
from ..settings.config import MAX_LENGTH
from ..words.quantity import quantity

GIB = 1 << 30


def device_memory(device: str) -> Limit:
    """Memory that weights and decoding may use, in bytes: the GPU's, or what this process may use of the machine's.

    Of the GPU's it is what is free, together with what torch's allocator holds for this process already. So the answer
    is the same before and after the weights are loaded, and other processes' memory is not counted in.
    """
    if device == "cuda":
        free, _ = torch.cuda.mem_get_info()
        return Limit(int(free) + int(torch.cuda.memory_reserved()), "the GPU's memory that is free")
    return memory_limit()


def memory_given(given_gib: float | None, device: str) -> Limit:
    """Memory that forecasts assume, in bytes: ``given_gib`` (``measure.memory_gib``) or else the device's."""
    if given_gib is None:
        return device_memory(device)
    return Limit(int(given_gib * GIB), f"measure.memory_gib={given_gib:g}")


def predicted_peak_bytes(config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool) -> int:
    """Predict the peak of live tensor bytes above the weights; ``padded`` says whether sources hold padding.

    Raises StrategyError if the strategy cannot be bound to the target length.
    """
    choosing = bytes_per_logit(cell.search, config.vocab_size, DTYPES[cell.dtype].itemsize)
    kept = replace(remembered(strategy, cell.tgt_len, cell.beams), choosing=choosing)
    dtype = DTYPES[cell.dtype]
    return peak_bytes(config, cell.batch_size, cell.src_len, cell.tgt_len, kept, dtype, padded)


def remembered(strategy: Strategy, last: int, beams: int = 1) -> Remembered:
    """What the strategy keeps in a decoding of ``last`` steps with ``beams`` sequences per sentence.

    Raises StrategyError if the strategy cannot be bound to that target length.
    """
    bound = strategy.bind(last)
    kept = Remembered(
        # Facts describe the state after a step. Before the first step a static store holds all the rows that it
        # reserves, and any other store those that the first key does not fill.
        reserved_first=bound.rows_reserved(1) - (0 if bound.static else bound.rows_used(1)),
        reserved_last=bound.rows_reserved(last),
        copied=bound.rows_copied(last),
        rows=bound.rows_fed(last),
        keys=bound.keys_read(last),
        cross=bound.cross == "cached",
    )
    if beams == 1:
        return kept
    spare, before = bound.rows_spare(last), max(1, last - 1)
    return replace(
        kept,
        reserved_first=kept.reserved_first + bound.rows_spare(1),
        reserved_last=kept.reserved_last + spare,
        beams=beams,
        cross_shared=bound.source_copies(beams) == 1,
        gathered=bound.rows_gathered(last),
        moved=0 if spare else bound.rows_reordered(before),
        cross_moved=bound.cross_beams == "expanded",
        entries=bound.entries_reserved(last),
    )


def most(need: Callable[[int], int], memory_bytes: int) -> int:
    """The largest n below MAX_LENGTH for which ``need(n)`` bytes fit in memory; 0 if not even n = 1 fits.

    ``need`` must not decrease.

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
    """What fits in memory for a strategy in a cell.

    ``peak_bytes`` is the predicted peak above the weights. ``batch_max`` is the largest batch, in sentences, at the
    cell's lengths. ``length_max`` is the largest source = target length, in tokens, at the cell's batch.
    """

    peak_bytes: int
    batch_max: int
    length_max: int


def capacity(
    config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool, weight_bytes: int, memory_bytes: int
) -> Capacity:
    """Find what fits in ``memory_bytes``, weights included. Raises StrategyError as ``predicted_peak_bytes`` does."""
    cell = replace(cell, src_ids=None)

    def need(sized: Cell) -> int:
        try:
            return weight_bytes + predicted_peak_bytes(config, sized, strategy, padded)
        except StrategyError:  # the length exceeds the strategy's own limit
            return memory_bytes + 1

    return Capacity(
        predicted_peak_bytes(config, cell, strategy, padded),
        most(lambda n: need(replace(cell, batch_size=n)), memory_bytes),
        most(lambda n: need(replace(cell, src_len=n, tgt_len=n)), memory_bytes),
    )


def why_too_large(
    config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool, weight_bytes: int, memory: Limit
) -> str:
    """Say why a case is not started: it needs more than ``memory`` or than its device has. Return "" if it fits.

    Raises StrategyError as ``predicted_peak_bytes`` does.
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
