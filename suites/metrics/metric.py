"""What a metric is, and the registry that finds metrics by their files.

A metric is a pure function of what a run wrote down, with a unit, a formula for people, and which way is better. One
that takes ``(case, round)`` has a value for each timed round; one that takes ``(case)`` has one for the case.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Literal

from strategies.discovery import import_all

from ..settings.config import ConfigError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Better = Literal["lower", "higher", "neither"]
NAN = math.nan


@dataclass(frozen=True)
class TimedRound:
    """Marks of one round as the field names them, in seconds. ``itl_s`` is empty where steps were not marked."""

    prefill_s: float
    ttft_s: float
    e2e_s: float
    itl_s: NDArray[np.float64]

    @classmethod
    def of(cls, marks_s: list[float], every_step: bool) -> TimedRound:
        """From marks: start, prefill, first token, then each token or the end alone."""
        import numpy as np  # here, as `run --help` lists metrics and needs none

        itl_s = np.diff(np.array(marks_s[2:])) if every_step else np.array([])
        return cls(marks_s[1], marks_s[2], marks_s[-1], itl_s)

    @property
    def decode_s(self) -> float:
        """Every decode step: end to end without prefill.

        Where no mark after prefill could be taken (a contender's library), as long as if the first step took what the
        others do: (end to end - TTFT) * N / (N - 1).
        """
        decode_s = self.e2e_s - self.prefill_s
        gaps = len(self.itl_s)
        return (self.e2e_s - self.ttft_s) * (gaps + 1) / gaps if math.isnan(decode_s) and gaps else decode_s


@dataclass(frozen=True)
class Case:
    """One strategy in one cell: what is known besides its timings. Missing figures are NaN.

    ``moved_bytes``: of all steps, and ``copied_bytes`` the part that concatenation moves. ``floor_bytes``: mean over
    steps of weights and K/V, copies left out; ``floor_weight_bytes``: of weights. ``floor_flops``: of all decode steps.
    A contender's floor, prefill included, is that of the necessary work, as of its own nothing is known. Rates are the
    machine's ceilings (``suites/ceilings``). ``memory_bytes``: what weights and decoding may use, of which
    ``batch_max`` and ``length_max`` fit (``suites/work/capacity.py``).
    """

    batch_size: int
    src_len: int
    tgt_len: int
    steps: int
    real_tokens: int
    setup_s: float
    necessary_flops: float
    executed_flops: float
    decode_flops: float
    moved_bytes: float
    kv_reserved_bytes: float
    kv_used_bytes: float
    peak_memory_bytes: float
    rss_bytes: float
    copied_bytes: float = NAN
    predicted_peak_bytes: float = NAN
    batch_max: float = NAN
    length_max: float = NAN
    memory_bytes: float = NAN
    model_weight_bytes: float = NAN
    dispatch_s: float = NAN
    prefill_flops: float = NAN
    prefill_bytes: float = NAN
    floor_flops: float = NAN
    floor_bytes: float = NAN
    floor_weight_bytes: float = NAN
    read_bytes_per_s: float = NAN
    peak_flops_per_s: float = NAN
    floor_s: float = NAN
    cache_resident: float = NAN


@dataclass(frozen=True)
class Metric:
    """A named figure. ``per_round``: measured anew each round."""

    name: str
    unit: str
    better: Better
    formula: str
    per_round: bool
    function: Callable[..., float]


_METRICS: dict[str, Metric] = {}


def metric(unit: str, better: Better, formula: str) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Function decorator: make a metric known by the function's name, which ends in its unit (``_s``, ``_bytes``)."""

    def add(function: Callable[..., float]) -> Callable[..., float]:
        taken = _METRICS.get(function.__name__)
        if taken is not None and taken.function.__module__ != function.__module__:
            raise ConfigError(
                f"the metric's name {function.__name__!r} is taken by {taken.function.__module__}; use another"
            )
        per_round = len(inspect.signature(function).parameters) == 2
        _METRICS[function.__name__] = Metric(function.__name__, unit, better, formula, per_round, function)
        return function

    return add


@cache
def _discover() -> None:
    import_all(__package__, ("ceiling", "latency", "memory", "throughput", "work"))


def metrics() -> dict[str, Metric]:
    """Every metric of this package, by name."""
    _discover()
    return dict(sorted(_METRICS.items()))
