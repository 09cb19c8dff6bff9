"""What the arms of a cell are made from: the model with its kernel, the sources, and the forecast of their work."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Self

from strategies import ModelConfig, Strategy
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.held import plain_bytes
from strategies.models.kernels.linears import Linears

from ..machine.limits import Limit
from ..settings.cells import Cell
from ..settings.faults import Fault
from ..settings.inputs import Inputs, make_inputs
from ..work.forecast import Forecast, forecast
from .loaded import loaded


@dataclass(frozen=True)
class Prepared:
    """What the arms of one cell are made from.

    ``weight_bytes``: bytes of the parameters, and of the copies that its kernel reads beside them or in their place.
    """

    model: EncoderDecoder
    linears: Linears
    inputs: Inputs
    expected: Forecast
    weight_bytes: int

    @classmethod
    def of(
        cls,
        cell: Cell,
        config: ModelConfig,
        strategies: Sequence[Strategy],
        memory: Limit,
        fail: Callable[[str, Fault], None],
    ) -> Self:
        """Load the model and forecast the work. ``fail`` is called for each strategy that cannot be bound.

        Raises ModelError.
        """
        model, linears = loaded(cell, any(strategy.execution == "compiled" for strategy in strategies))
        weight_bytes = plain_bytes(model) + linears.copy_bytes
        inputs = make_inputs(cell, model.config)
        padded = inputs.src_mask_BS is not None
        expected = forecast(cell, config, strategies, padded, weight_bytes, memory, fail)
        return cls(model, linears, inputs, expected, weight_bytes)

    @property
    def padded(self) -> bool:
        """Whether some source ends in padding."""
        return self.inputs.src_mask_BS is not None

    def written(self) -> dict[str, Any]:
        """The entries of cell.json."""
        return {
            "src_lens": self.inputs.src_lens,
            "real_fraction": self.inputs.real_fraction,
            "weight_bytes": self.weight_bytes,
            "linear_choices": [dataclasses.asdict(choice) for choice in self.linears.choices],
            **self.expected.written(),
        }
