"""Predicted work of a sweep, known before its first cell starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

from strategies import ModelConfig, Strategy, config_of

from ..judging.baseline import BASELINE, baseline_of
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
    """Predict one round of each strategy that can be bound to the cell's target length.

    ``fail`` is called with the label and the fault of each other strategy.
    """
    found = {}
    for strategy in strategies:
        with contained(partial(fail, strategy.label)):
            rows = config.target_rows(cell.tgt_len)
            require_rows(strategy.bind(rows), rows, cell.src_len)
            found[strategy.label] = totals(config, cell, strategy)
    return found


def timed_passes(measure: MeasureConfig, device: str) -> int:
    """Least number of timed decodes of each arm in a cell, warm-up included; twice as many on CUDA (two clocks)."""
    return (measure.warmup + measure.rounds) * (2 if device == "cuda" else 1)


@dataclass(frozen=True)
class Effort:
    """Predicted effort of a whole cell, over every decode of every strategy.

    ``flops`` is shown to people. ``work``, which counts bytes as FLOPs too, serves to predict the time left.
    """

    flops: int
    work: int


def contender_work(predicted: Mapping[str, Totals]) -> int:
    """Assumed work of a contender's round, which has no formula: that of the strategy with the least work."""
    return min((total.work for total in predicted.values()), default=0)


def effort(
    cell: Cell, strategies: Sequence[Strategy], measure: MeasureConfig, contenders: int = 0, *, here: bool = True
) -> Effort:
    """Predict the effort of a cell before any of it runs; a cell that cannot run takes none.

    ``contenders`` is their number. Their work is estimated, but their FLOPs are unknown and not counted. ``here`` is as
    in ``obstacle``.
    """
    if obstacle(cell, here=here):
        return Effort(0, 0)
    predicted = predict(cell, config_of(cell.model), strategies)
    timed = timed_passes(measure, cell.device)
    approximate = {strategy.label for strategy in strategies if not strategy.exact}
    # Two untimed decodes: equality, peak memory. An approximate strategy is also fed an exact one's tokens, which in
    # turn decodes twice more for all of them.
    runs = [(total, 2 + (label in approximate) + timed) for label, total in predicted.items()]
    exact = [total for label, total in predicted.items() if label not in approximate]
    if approximate and exact:
        runs.append((min(exact, key=lambda total: total.work), 2))
    if cell.product_dtype != "fp32" and BASELINE in predicted:  # in low precision, full recompute once more in float32
        runs.append((predicted[BASELINE], 1))
    if measure.aa and predicted:
        runs += [(predicted[baseline_of(predicted, approximate)], timed)] * 2  # in this process, and in a child process
    others = contenders * (1 + timed) * contender_work(predicted)  # one more round, whose tokens are checked
    return Effort(sum(n * f.executed_flops for f, n in runs), sum(n * f.work for f, n in runs) + others)
