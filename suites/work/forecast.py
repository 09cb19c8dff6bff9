"""Work and memory that each strategy of a cell will need, by formulas, before anything is allocated."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from strategies import ModelConfig, Strategy

from ..machine.limits import Limit
from ..settings.cells import Cell
from ..settings.faults import Fault, contained
from .capacity import Capacity, capacity, why_too_large
from .formulas import Formulas, Totals, formulas
from .planning import predict


@dataclass
class Forecast:
    """Forecast of a cell; each dictionary is keyed by a strategy's label.

    ``totals`` holds FLOPs and bytes of one round. ``fits`` holds the largest batch and length that fit in memory.
    ``too_large`` says why a strategy is not started, "" where it is. ``steps`` holds FLOPs and bytes of each step, for
    the strategies that are started.
    """

    totals: dict[str, Totals]
    fits: dict[str, Capacity] = field(default_factory=dict)
    too_large: dict[str, str] = field(default_factory=dict)
    steps: dict[str, Formulas] = field(default_factory=dict)

    def written(self) -> dict[str, Any]:
        """The entries ``formulas`` and ``capacity`` of cell.json."""
        return {
            "formulas": {label: dataclasses.asdict(found) for label, found in self.steps.items()},
            "capacity": {label: dataclasses.asdict(found) for label, found in self.fits.items()},
        }


def forecast(
    cell: Cell,
    config: ModelConfig,
    strategies: Sequence[Strategy],
    padded: bool,
    weight_bytes: int,
    memory: Limit,
    fail: Callable[[str, Fault], None],
) -> Forecast:
    """Forecast every strategy that can be bound to the target length.

    ``fail`` is called with the label and the fault of each other strategy.
    """
    found = Forecast(predict(cell, config, strategies, fail))
    for strategy in strategies:
        label = strategy.label
        if label not in found.totals:
            continue
        with contained(partial(fail, label)):
            fits = capacity(config, cell, strategy, padded, weight_bytes, memory.amount)
            reason = why_too_large(config, cell, strategy, padded, weight_bytes, memory)
            if not reason:
                found.steps[label] = formulas(config, cell, strategy)
            found.fits[label], found.too_large[label] = fits, reason
    return found
