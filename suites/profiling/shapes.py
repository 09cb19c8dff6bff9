"""Merge the shapes of the same operator in several decode steps: dimensions that change per step become ranges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace

from .calls import Call

_NUMBER = re.compile(r"\d+")


def merge(shapes: Sequence[str]) -> str | None:
    """Return what the shapes have in common, with ranges where numbers differ; None if more than numbers differs.

    >>> merge(["61x192 192x768", "62x192 192x768", "63x192 192x768"])
    '61..63x192 192x768'
    """
    if len({_NUMBER.sub("", shape) for shape in shapes}) > 1:
        return None
    columns = zip(*(map(int, _NUMBER.findall(shape)) for shape in shapes), strict=True)
    numbers = iter([f"{min(c)}..{max(c)}" if min(c) < max(c) else str(c[0]) for c in columns])
    return _NUMBER.sub(lambda _: next(numbers), shapes[0])


def across_steps(calls: Sequence[Call]) -> list[Call]:
    """Return the calls, with the shapes of operators merged over decode steps.

    Operators with the same name in the same range of the same layer are matched in order, if every step has equally
    many of them.
    """
    matched: dict[tuple[object, ...], dict[str, list[int]]] = {}
    steps = set()
    for index, call in enumerate(calls):
        step, *inner = call.ranges
        if step.startswith("decode_step"):
            steps.add(step)
            if not call.is_range:
                matched.setdefault((*inner, call.name), {}).setdefault(step, []).append(index)
    merged = list(calls)
    for by_step in matched.values():
        if len(by_step) < len(steps) or len({len(indices) for indices in by_step.values()}) > 1:
            continue
        for same in zip(*by_step.values(), strict=True):
            if shapes := merge([calls[i].shapes or "" for i in same]):
                for i in same:
                    merged[i] = replace(calls[i], shapes=shapes)
    return merged
