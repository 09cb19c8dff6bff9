"""How often change points are found where there are none, and where there is one: the tables of docs/history.md.

python -m tests.suites.judging.change_point_study
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np

from suites.judging.change_points import change_points

LENGTHS = (10, 30, 60)
SPREAD = 0.02
"""Standard deviation of the logarithm; for heavy tails, the scale."""
NOISE: dict[str, Callable[[np.random.Generator, int], np.ndarray]] = {
    "normal": lambda rng, count: rng.normal(size=count),
    "heavy tails (Student's t, 2 degrees of freedom)": lambda rng, count: rng.standard_t(2, size=count),
    "skewed (log-normal)": lambda rng, count: rng.lognormal(size=count),
}


@dataclass(frozen=True)
class Found:
    """Shares of series: with any change, with one at the right run, with one there or at a neighbour, with several.

    ``held``: of the changes there or at a neighbour, how many intervals hold the true factor.
    """

    any: float
    right: float
    near: float
    several: float
    held: float


def study(noise: str, count: int, series: int, step: float = 1.0, at: int = 0, level: float = 0.05) -> Found:
    """Series of a level that changes by the factor ``step`` at the index ``at``."""
    rng = np.random.default_rng([count, at, len(noise)])
    changes = []
    for _ in range(series):
        values = np.exp(SPREAD * NOISE[noise](rng, count))
        values[at:] *= step
        changes.append(change_points(values, level))
    near = [change for found in changes for change in found if abs(change.at - at) <= 1]
    held = sum(change.low <= step <= change.high for change in near) / len(near) if near else float("nan")
    return Found(
        sum(map(bool, changes)) / series,
        sum(any(change.at == at for change in found) for found in changes) / series,
        sum(any(abs(change.at - at) <= 1 for change in found) for found in changes) / series,
        sum(len(found) > 1 for found in changes) / series,
        held,
    )


def tables(series: int) -> Iterator[str]:
    yield f"| noise, no change | {' | '.join(f'{count} runs' for count in LENGTHS)} |"
    yield "|---|" + "---|" * len(LENGTHS)
    for noise in NOISE:
        yield f"| {noise} | {' | '.join(f'{study(noise, count, series).any:.1%}' for count in LENGTHS)} |"
    yield ""
    yield "| a step of 5 % in noise of 2 % | found | at its run | there or beside it | more than one found | interval |"
    yield "|---|---|---|---|---|---|"
    for level in (0.05, 0.05 / 3):
        for count in LENGTHS:
            for at in (count // 2, count - 4):
                found = study("normal", count, series, 1.05, at, level)
                shares = (found.any, found.right, found.near, found.several, found.held)
                name = f"{count} runs, step at run {at + 1}, level {level:.1%}"
                yield f"| {name} | {' | '.join(f'{share:.0%}' for share in shares)} |"


if __name__ == "__main__":
    for line in tables(2000):
        print(line)
