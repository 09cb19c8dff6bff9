"""Check of a strategy's facts: each must be a possible number of rows before anything is computed from it."""

from __future__ import annotations

from strategies import Strategy, StrategyError

FACTS = ("rows_fed", "keys_read", "rows_copied", "rows_reserved", "rows_used")
OF_BEAMS = ("rows_reordered", "rows_gathered", "rows_spare", "entries_reserved", "entries_reordered")
MOST = 1 << 40
"""Greatest number of rows that a fact may give: more rows fit in no memory."""


def require_rows(bound: Strategy, tgt_len: int) -> None:
    """Check the facts at the first, the middle and the last step of ``tgt_len``.

    Raises StrategyError for a fact that is no whole number from 0 to ``MOST``.
    """
    for name in FACTS + OF_BEAMS:
        for k in sorted({1, (tgt_len + 1) // 2, tgt_len}):
            value = getattr(bound, name)(k)
            if type(value) is not int or not 0 <= value <= MOST:
                shown = str(value)[:40] if isinstance(value, float) else type(value).__name__
                shown = str(value) if type(value) is int and abs(value) < 10**12 else shown
                raise StrategyError(
                    f"{bound.label}: {name}({k}) = {shown} is no number of rows; return a whole number from 0 to {MOST}"
                )
