"""Checks of ``execution`` and ``linear``: which values a verb allows, and which would have no effect."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from .config import ConfigError

if TYPE_CHECKING:
    from strategies import Strategy

    from .cells import Cell
    from .config import RunConfig


def require_eager(verb: str, strategies: Sequence[Strategy], config: RunConfig) -> None:
    """Raise ConfigError unless every strategy is executed eagerly, since ``verb`` looks at single operators.

    ``linear=fused`` is refused too, as it is a kernel of compiled steps.
    """
    asked = [config.execution, *(strategy.execution for strategy in strategies)]
    if other := next((found for found in asked if found != "eager"), None):
        raise ConfigError(f"{verb}: execution={other} is not allowed; it looks at single operators: leave it out")
    if config.linear == "fused":
        raise ConfigError(f"{verb}: linear=fused is not allowed; it is for compiled steps: leave it out")


def without_effect(strategies: Sequence[Strategy], cell: Cell) -> str:
    """Say why ``execution=compiled`` would compile nothing or ``linear=fused`` would change nothing; "" otherwise.

    ``linear=fused`` is a kernel of compiled steps that feed one float32 row.
    """
    if any(strategy.execution == "compiled" for strategy in strategies):
        from strategies.models.kernels.compiling import why_not_compiled

        if reason := why_not_compiled():
            return f"execution=compiled is not allowed here: {reason}"
    if cell.linear != "fused":
        return ""
    for value, remedy in (
        ("execution=eager", all(strategy.execution != "compiled" for strategy in strategies) and "execution=compiled"),
        (f"batch_size={cell.batch_size}", cell.batch_size != 1 and "batch_size=1"),
        (f"search.num_beams={cell.beams}", cell.beams != 1 and "search=greedy"),
        (f"dtype={cell.dtype}", cell.dtype != "fp32" and "dtype=fp32"),
    ):
        if remedy:
            return f"linear=fused has no effect with {value}; give {remedy}, or leave linear out"
    return ""
