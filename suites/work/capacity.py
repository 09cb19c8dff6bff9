"""The largest batch and length at which decoding fits in memory, by the closed formula of its peak memory."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from strategies import DTYPES, ModelConfig, Strategy, StrategyError
from strategies.models.footprint import peak_bytes
from strategies.search.begin import bytes_per_logit

from ..machine.limits import Limit, memory_limit
from ..settings.cells import Cell
from ..settings.config import MAX_LENGTH
from ..words.quantity import quantity
from .remembered import remembered
from .row_bytes import row_bytes

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
    dtype, last = DTYPES[cell.dtype], config.target_rows(cell.tgt_len)
    choosing = bytes_per_logit(cell.search, config.vocab_size, dtype.itemsize)
    of_row = row_bytes(config, strategy.bind(last), dtype)
    steps = remembered(strategy, last, cell.src_len, cell.beams, config.prefix_len)
    kept = [replace(one, choosing=choosing, row_bytes=of_row) for one in steps]
    return max(peak_bytes(config, cell.batch_size, cell.src_len, last, one, dtype, padded) for one in kept)


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
    cell's lengths. ``length_max`` is the largest source = target length, in tokens, at the cell's batch; of features,
    whose length is the model's, the largest target. It is never beyond the model's positions.
    """

    peak_bytes: int
    batch_max: int
    length_max: int


def capacity(
    config: ModelConfig, cell: Cell, strategy: Strategy, padded: bool, weight_bytes: int, memory_bytes: int
) -> Capacity:
    """Find what fits in ``memory_bytes``, weights included. Raises StrategyError as ``predicted_peak_bytes`` does."""
    cell, has_features = replace(cell, src_ids=None, src_features=None), config.mel_bins is not None

    def need(sized: Cell) -> int:
        if config.beyond_positions(sized.src_len, sized.tgt_len):
            return memory_bytes + 1
        try:
            return weight_bytes + predicted_peak_bytes(config, sized, strategy, padded)
        except StrategyError:  # the length exceeds the strategy's own limit
            return memory_bytes + 1

    return Capacity(
        predicted_peak_bytes(config, cell, strategy, padded),
        most(lambda n: need(replace(cell, batch_size=n)), memory_bytes),
        most(lambda n: need(replace(cell, src_len=cell.src_len if has_features else n, tgt_len=n)), memory_bytes),
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
