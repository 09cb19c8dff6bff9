"""What a strategy declares of its steps, held to what a number of rows can be before anything is reckoned with it."""

from __future__ import annotations

from strategies import Strategy, StrategyError

FACTS = ("rows_fed", "keys_read", "rows_copied", "rows_reserved", "rows_used")
MOST = 1 << 40
"""Rows; more of them fit in no memory."""


def require_rows(bound: Strategy, tgt_len: int) -> None:
    """Raise StrategyError for a fact of a first, middle or last step that is no whole number of rows."""
    for name in FACTS:
        for k in sorted({1, (tgt_len + 1) // 2, tgt_len}):
            value = getattr(bound, name)(k)
            if type(value) is not int or not 0 <= value <= MOST:
                shown = str(value)[:40] if isinstance(value, float) else type(value).__name__
                shown = str(value) if type(value) is int and abs(value) < 10**12 else shown
                raise StrategyError(
                    f"{bound.label}: {name}({k}) = {shown} is no number of rows; return a whole number from 0 to {MOST}"
                )
