"""How many cases a sweep has, counted before any of them is made."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .config import ConfigError

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

MOST_CASES = 10_000


def require_few(overrides: Sequence[Override]) -> None:
    """Raise ConfigError for a range that never ends, and where the values that are swept give more than MOST_CASES."""
    from hydra.core.override_parser.types import ChoiceSweep, RangeSweep

    cases = 1
    for override in overrides:
        value = override.value() if override.is_sweep_override() else None
        if isinstance(value, RangeSweep):
            start, stop, step = (float(end or 0) for end in (value.start, value.stop, value.step))
            if step == 0:
                raise ConfigError(f"{override.input_line}: a step of 0 never ends; give range(START,STOP,STEP)")
            cases *= max(1, math.ceil((stop - start) / step))
        elif isinstance(value, ChoiceSweep):
            cases *= max(1, len(value.list))
        if cases > MOST_CASES:
            raise ConfigError(f"{override.input_line} makes more than {MOST_CASES} cases; give fewer values")
