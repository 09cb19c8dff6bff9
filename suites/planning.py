"""What a sweep will take, told before its first cell starts."""

from __future__ import annotations

from collections.abc import Sequence

from strategies import ModelConfig, Strategy, StrategyError, config_of

from .cells import Cell
from .config import MeasureConfig
from .formulas import Formulas, formulas


def predict(cell: Cell, config: ModelConfig, strategies: Sequence[Strategy]) -> dict[str, Formulas]:
    """Formulas of every strategy that can be bound to the cell's target length."""
    found = {}
    for strategy in strategies:
        try:
            found[strategy.label] = formulas(config, cell, strategy)
        except StrategyError:
            continue
    return found


def passes(measure: MeasureConfig, device: str) -> int:
    """Times that each strategy decodes a cell: equality, memory, warm-up and rounds."""
    return 2 + (measure.warmup + measure.rounds) * (2 if device == "cuda" else 1)


def plan_flops(cell: Cell, strategies: Sequence[Strategy]) -> int:
    """Predicted FLOPs of one pass of every strategy over a cell."""
    return sum(f.executed_flops for f in predict(cell, config_of(cell.model), strategies).values())


def plan_work(cell: Cell, strategies: Sequence[Strategy], measure: MeasureConfig) -> int:
    """Predicted work of a whole cell, before any of it runs."""
    config = config_of(cell.model)
    predicted = predict(cell, config, strategies)
    return passes(measure, cell.device) * sum(f.work for f in predicted.values())
