"""Definition of a metric, and the registry that finds metrics in the files of this folder.

A metric is a pure function of what a run wrote down. It has a unit, a formula for people, and says whether lower or
higher is better. A function of ``(case, round)`` has a value for each timed round, a function of ``(case)`` one value
for the case.
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
    """Times of one round in seconds, from its marks: prefill, TTFT, end to end, and the gaps between tokens.

    ``itl_s`` holds the gaps, [N - 1], and is empty where steps were not marked. ``energy_j`` is the energy of the
    GPU in joules, NaN where it is not known.
    """

    prefill_s: float
    ttft_s: float
    e2e_s: float
    itl_s: NDArray[np.float64]
    energy_j: float = NAN

    @classmethod
    def of(cls, marks_s: list[float], every_step: bool, energy_j: float | None = None) -> TimedRound:
        """Compute the times from marks: start, prefill, first token, then each later token or the end alone."""
        import numpy as np  # imported here because `run --help` lists metrics and need not wait for numpy

        itl_s = np.diff(np.array(marks_s[2:])) if every_step else np.array([])
        return cls(marks_s[1], marks_s[2], marks_s[-1], itl_s, NAN if energy_j is None else energy_j)

    @property
    def decode_s(self) -> float:
        """Seconds of all decode steps together: end to end without prefill.

        A contender's library may not let one take the mark after prefill. Then the first step is assumed to take as
        long as the others: (end to end - TTFT) * N / (N - 1).
        """
        decode_s = self.e2e_s - self.prefill_s
        gaps = len(self.itl_s)
        return (self.e2e_s - self.ttft_s) * (gaps + 1) / gaps if math.isnan(decode_s) and gaps else decode_s


@dataclass(frozen=True)
class Case:
    """One strategy or contender in one cell: what is known besides its times. Missing figures are NaN.

    ``real_tokens`` are those of the best sequence of each sentence, its end token included.
    ``moved_bytes`` are the bytes that all decode steps move, ``copied_bytes`` the part that concatenation copies.
    ``floor_bytes`` is the mean over steps of weights and K/V, without copies; ``floor_weight_bytes`` is its part of
    weights. ``floor_flops`` are the FLOPs of all decode steps. A contender's floor, prefill included, is that of the
    necessary work, since its own work is not known. ``read_bytes_per_s`` and ``peak_flops_per_s`` are the machine's
    ceilings (``suites/ceilings``). ``memory_bytes`` is what weights and decoding may use; ``batch_max`` (sentences) and
    ``length_max`` (tokens) are the largest that fit in it (``suites/work/capacity.py``).
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
    kv_cross_bytes: float = NAN
    kv_reserved_blocks: float = NAN
    kv_used_blocks: float = NAN
    copied_bytes: float = NAN
    predicted_peak_bytes: float = NAN
    batch_max: float = NAN
    length_max: float = NAN
    memory_bytes: float = NAN
    loaded_rss_bytes: float = NAN
    decode_rss_bytes: float = NAN
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
    """A registered metric. ``per_round`` says whether it has a value for each timed round or one for the case."""

    name: str
    unit: str
    better: Better
    formula: str
    per_round: bool
    function: Callable[..., float]


_METRICS: dict[str, Metric] = {}


def metric(unit: str, better: Better, formula: str) -> Callable[[Callable[..., float]], Callable[..., float]]:
    """Register the decorated function as a metric under its name, which ends in its unit (``_s``, ``_bytes``).

    Raises ConfigError if another module has registered a metric of this name.
    """

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
    import_all(__package__, ("ceiling", "energy", "latency", "memory", "throughput", "work"))


def metrics() -> dict[str, Metric]:
    """Map the name of every registered metric to the metric, sorted by name."""
    _discover()
    return dict(sorted(_METRICS.items()))
