"""The longest target that a strategy can be bound to."""

from __future__ import annotations

import bisect

from strategies import Strategy, StrategyError


def longest_target(strategy: Strategy, most: int) -> int:
    """Return the longest target in tokens, up to ``most``, that the strategy can be bound to; 0 if there is none."""

    def is_too_long(length: int) -> bool:
        try:
            strategy.bind(length)
        except StrategyError:
            return True
        return False

    return bisect.bisect_left(range(1, most + 1), True, key=is_too_long)
