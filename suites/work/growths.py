"""The steps at which a buffer grows by many rows at once, which are rare and would slip between probes."""

from __future__ import annotations

from collections import deque

from strategies import Strategy

MOST_SPANS = 64
"""Greatest number of spans that are looked into at a time. A buffer that grows in small stairs has more."""


def growths(bound: Strategy, last: int) -> list[int]:
    """Steps from 2 to ``last`` at which ``rows_reserved`` rises, but neither stays nor rises by a row at each step.

    They are found by halving spans, so their cost does not grow with the number of steps. None are returned where there
    are too many to be worth it.
    """
    found: list[int] = []
    spans = deque([(1, last)])
    while spans:
        if len(found) + len(spans) > MOST_SPANS:
            return []
        first, end = spans.popleft()
        # A buffer that doubles holds as many rows as a growing cache at powers of two, but not between them.
        middle, between = (first + end) // 2, first + 13 * (end - first) // 34
        start, inside, stop = (bound.rows_reserved(k) for k in (first, between, end))
        if start == stop or (stop - start == end - first and inside - start == between - first):
            continue
        if end - first == 1:
            found.append(end)
        else:
            spans += (first, middle), (middle, end)
    return sorted(found)
