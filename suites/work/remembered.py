"""What a strategy keeps at the steps of a decoding at which its memory can be the largest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from strategies import Strategy
from strategies.models.footprint import Remembered

from .steps import prefix_facts


def remembered(strategy: Strategy, last: int, src_len: int, beams: int = 1, prefix_len: int = 1) -> list[Remembered]:
    """What is kept at each step that can be the peak of a decoding up to k = ``last``, that of the last one first.

    Sources have ``src_len`` tokens, and sentences ``beams`` sequences, which begin with P = ``prefix_len`` forced
    tokens. Another step can be the peak if memory grew in it for the last time by copying rows. If keys of the source
    are dropped, so can the step that drops the first of them, and the one before. So can the pass over the prefix.
    Raises StrategyError if the strategy cannot be bound to that target length, or loses rows of the prefix.
    """
    bound = strategy.bind(last)
    steps = [last]
    grown = _first(last, lambda k: bound.rows_reserved(k) == bound.rows_reserved(last))
    if bound.rows_copied(grown):
        steps.append(grown)
    drops = bound.cross == "cached" and bound.cross_keys_read(last, src_len) < src_len
    if drops:
        fallen = _first(last, lambda k: bound.cross_keys_read(k, src_len) < src_len)
        steps += [fallen, max(1, fallen - 1)]
    steps = [max(k, prefix_len) for k in steps]
    found = [_at(bound, k, src_len, beams, drops) for k in dict.fromkeys(steps)]
    if fed := prefix_facts(bound, prefix_len, src_len):
        at = _at(bound, fed.rows, src_len, beams, drops)
        same = replace(at, rows=fed.rows, copied=0, gathered=fed.copied)
        found.append(replace(same, cross_rows=None, cross_copied=0, cross_observed=fed.cross_observed, moved=0))
    return found


def _first(last: int, holds: Callable[[int], bool]) -> int:
    """The first step, up to ``last``, at which something holds that holds from then on.

    >>> _first(100, lambda k: k * k > 50)
    8
    """
    low, high = 0, last
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high


def _at(bound: Strategy, k: int, src_len: int, beams: int, drops: bool) -> Remembered:
    """What is kept at step k. ``drops`` says whether keys of the source are dropped at some step."""
    before = max(1, k - 1)
    copied, held = bound.rows_copied(k), bound.rows_reserved(before) if k > 1 else 0
    # Rows that are copied though memory does not grow, or more rows than there were, are copied to be read.
    makes_room = bound.rows_reserved(k) > held >= copied
    never_grows = bound.static or bound.rows_reserved(1) > bound.rows_used(1)
    of_source, was_read = bound.cross_keys_read(k, src_len), bound.cross_keys_read(before, src_len)
    kept = Remembered(
        # Facts describe the state after a step. Before the first step a store that never grows holds all the rows that
        # it reserves, and any other store those that the first key does not fill.
        reserved_first=bound.rows_reserved(1) - (0 if never_grows else bound.rows_used(1)),
        reserved_last=bound.rows_reserved(k),
        copied=copied if makes_room else 0,
        rows=bound.rows_fed(k),
        keys=bound.keys_read(k),
        cross=bound.cross == "cached",
        gathered=0 if makes_room else copied,
        expanded=bound.rows_expanded(k),
        entries=bound.table_entries(k),
        cross_rows=was_read if drops else None,
        cross_copied=of_source if drops and of_source < was_read else 0,
        cross_observed=bound.cross_keys_observed(k, src_len),
    )
    if beams == 1:
        return kept
    spare, reordered = bound.rows_spare(k), bound.rows_reordered(before)
    # Where every row is reordered into a new tensor, that is as large as what it replaces.
    moved = max(reordered, bound.rows_reserved(before)) if reordered >= bound.rows_used(before) > 0 else reordered
    return replace(
        kept,
        reserved_first=kept.reserved_first + bound.rows_spare(1),
        reserved_last=kept.reserved_last + spare,
        beams=beams,
        cross_shared=bound.source_copies(beams) == 1,
        gathered=kept.gathered + bound.rows_gathered(k),
        moved=0 if spare else moved,
        cross_moved=bound.cross_beams == "expanded",
        entries=kept.entries + bound.entries_reserved(k),
    )
