"""Whether a cell fits in memory, by formulas alone, before its weights or its sources are made."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models.footprint import Remembered, peak_bytes
from strategies.models.parameters import FP32, copy_bytes, parameter_bytes, parameters

from ..machine.limits import Limit, memory_limit
from ..settings.cells import Cell
from ..settings.config import ConfigError
from ..settings.faults import Fault, contained
from ..words.quantity import quantity
from .capacity import device_memory, why_too_large
from .declared import require_rows


def weight_bytes(config: ModelConfig, cell: Cell) -> int:
    """Bytes of the model's parameters and of the copies that the cell's kernel or its narrower weights read."""
    return parameter_bytes(config, cell.dtype) + copy_bytes(config, cell.dtype, cell.linear, cell.weights)


def why_no_room(
    config: ModelConfig, cell: Cell, strategies: Sequence[Strategy], memory: Limit, padded: bool
) -> dict[str, str]:
    """Map each strategy's label to why it cannot be started in the cell: the target is too long, or memory too small.

    The reason is "" where the strategy can be started. It is also "" where the strategy's own code raises an exception,
    which is reported elsewhere.
    """
    unbuilt, weights = why_not_built(config, cell), weight_bytes(config, cell)
    found = {}

    def refused(label: str, fault: Fault) -> None:
        found[label] = "" if fault.traceback else fault.reason

    for strategy in strategies:
        with contained(partial(refused, strategy.label)):
            rows = config.target_rows(cell.tgt_len)
            require_rows(strategy.bind(rows), rows, cell.src_len)
            found[strategy.label] = unbuilt or why_too_large(config, cell, strategy, padded, weights, memory)
    return found


def why_not_built(config: ModelConfig, cell: Cell) -> str:
    """Say why this machine has too little memory to make the weights; return "" where it has enough.

    Weights are made in float32 first, whatever their type later, and copies may lie beside them. A cell with
    narrower weights needs a second model with whole weights, to compare with.
    """
    models = 2 if cell.weights else 1
    needed = models * FP32 * parameters(config) + copy_bytes(config, cell.dtype, cell.linear, cell.weights)
    memory = memory_limit()
    if needed <= memory.amount:
        return ""
    return (
        f"its weights need {quantity(needed, 'B')} while they are made, in float32, and there are "
        f"{quantity(memory.amount, 'B')} ({memory.bound_by}); give a smaller model"
    )


def require_room(
    verb: str, config: ModelConfig, cell: Cell, strategies: Sequence[Strategy], padded: bool, remedy: str
) -> None:
    """Raise ConfigError if the weights cannot be made, or for the first strategy that does not fit on the device."""
    if unbuilt := why_not_built(config, cell):
        raise ConfigError(f"{verb}: {cell.model.name}: {unbuilt}")
    reasons = why_no_room(config, cell, strategies, device_memory(cell.device), padded)
    for label, reason in reasons.items():
        if reason:
            raise ConfigError(f"{verb}: {label}: {reason}; {remedy}")


def require_room_to_train(verb: str, config: ModelConfig, cell: Cell, remedy: str) -> None:
    """Raise ConfigError if the teacher-forced pass, with the logits of every target row, does not fit in memory."""
    dtype, rows = DTYPES[cell.dtype], cell.tgt_len
    fed = Remembered(reserved_first=0, reserved_last=0, copied=0, rows=rows, keys=rows, cross=True)
    decoder = peak_bytes(config, cell.batch_size, cell.src_len, rows, fed, dtype)
    logits = cell.batch_size * rows * (config.vocab_size + config.d_model) * dtype.itemsize
    needed, memory = weight_bytes(config, cell) + max(decoder, logits), device_memory(cell.device)
    if needed > memory.amount:
        raise ConfigError(
            f"{verb}: the pass over all target rows at once needs {quantity(needed, 'B')}, weights included, and there "
            f"are {quantity(memory.amount, 'B')} ({memory.bound_by}); {remedy}"
        )
