"""Check of a strategy's facts: each must be a possible number of rows before anything is computed from it."""

from __future__ import annotations

from strategies import Strategy, StrategyError

FACTS = ("rows_fed", "keys_read", "rows_copied", "rows_reserved", "rows_used", "rows_expanded", "table_entries")
OF_BEAMS = ("rows_reordered", "rows_gathered", "rows_spare", "entries_reserved", "entries_reordered")
OF_SOURCE = ("cross_keys_read", "cross_keys_observed")
FIRST = 64
"""Steps of which each is checked; a fact of a source, for one, falls at a step of the strategy's choice."""
MOST = 1 << 40
"""Greatest number of rows that a fact may give: more rows fit in no memory."""


def require_rows(bound: Strategy, tgt_len: int, src_len: int) -> None:
    """Check the facts at the first steps, the middle and the last of ``tgt_len``, for sources of ``src_len`` tokens.

    Raises StrategyError for a fact that is no whole number from 0 to ``MOST``, or of keys of the source to ``src_len``;
    where no key of the source is read; and where more are read than at an earlier step.
    """
    steps = sorted({*range(1, min(tgt_len, FIRST) + 1), (tgt_len + 1) // 2, tgt_len})
    for name in FACTS + OF_BEAMS:
        for k in steps:
            value = getattr(bound, name)(k)
            if type(value) is not int or not 0 <= value <= MOST:
                raise StrategyError(
                    f"{bound.label}: {name}({k}) = {_shown(value)} is no number of rows; return a whole number from 0 "
                    f"to {MOST}"
                )
    for name, least in zip(OF_SOURCE, (1, 0), strict=True):
        for k in steps:
            value = getattr(bound, name)(k, src_len)
            if type(value) is not int or not least <= value <= src_len:
                raise StrategyError(
                    f"{bound.label}: {name}({k}, {src_len}) = {_shown(value)} is no number of keys of {src_len}; "
                    f"return a whole number from {least} to {src_len}"
                )
    read = [bound.cross_keys_read(k, src_len) for k in steps]
    for k, later, before, fewer in zip(steps, steps[1:], read, read[1:], strict=False):
        if fewer > before:
            raise StrategyError(
                f"{bound.label}: cross_keys_read({later}, {src_len}) = {fewer} rises from {before} at step {k}; return "
                "as many or fewer, since keys that were dropped do not come back"
            )


def _shown(value: object) -> str:
    if type(value) is int and abs(value) < 10**12:
        return str(value)
    return str(value)[:40] if isinstance(value, float) else type(value).__name__
