"""What a sweep will take, told before its first cell starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from strategies import ModelConfig, Strategy, config_of

from ..judging.baseline import baseline_of
from ..settings.cells import Cell
from ..settings.config import MeasureConfig
from ..settings.faults import Fault, contained
from ..settings.obstacles import obstacle
from .declared import require_rows
from .formulas import Totals, totals


def predict(
    cell: Cell,
    config: ModelConfig,
    strategies: Sequence[Strategy],
    fail: Callable[[str, Fault], None] = lambda label, fault: None,
) -> dict[str, Totals]:
    """What a round takes of each strategy that can be bound to the cell's target length; ``fail`` is told of others."""
    found = {}
    for strategy in strategies:
        with contained(partial(fail, strategy.label)):
            require_rows(strategy.bind(cell.tgt_len), cell.tgt_len)
            found[strategy.label] = totals(config, cell, strategy)
    return found


def timed_passes(measure: MeasureConfig, device: str) -> int:
    """Times that each arm decodes a cell in warm-up and rounds, as few as there may be."""
    return (measure.warmup + measure.rounds) * (2 if device == "cuda" else 1)


@dataclass(frozen=True)
class Effort:
    """Of a whole cell, every pass of every strategy: FLOPs for people, work (FLOPs and bytes) for the time left."""

    flops: int
    work: int


def contender_work(predicted: Mapping[str, Totals]) -> int:
    """A contender's round, of which no formula is known: about that of the quickest strategy."""
    return min((total.work for total in predicted.values()), default=0)


def effort(cell: Cell, strategies: Sequence[Strategy], measure: MeasureConfig, contenders: int = 0) -> Effort:
    """What a cell will take, before any of it runs; FLOPs of ``contenders``, so many, are not known and not counted.

    A cell that cannot run takes nothing.
    """
    if obstacle(cell):
        return Effort(0, 0)
    predicted = predict(cell, config_of(cell.model), strategies)
    timed = timed_passes(measure, cell.device)
    runs = [(total, 2 + timed) for total in predicted.values()]  # equality and memory, then the rounds
    if measure.aa and predicted:
        # Twice as contenders run on the CPU alone: in this process, and in a child as they do.
        runs += [(predicted[baseline_of(predicted)], timed)] * (2 if cell.device == "cpu" else 1)
    others = contenders * (1 + timed) * contender_work(predicted)  # the first round, whose tokens are checked
    return Effort(sum(n * f.executed_flops for f, n in runs), sum(n * f.work for f, n in runs) + others)
