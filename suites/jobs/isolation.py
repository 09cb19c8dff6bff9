"""Whether a cell is measured in a process of its own, and why: what a run must survive, and what cannot be ended."""

from __future__ import annotations

import os
from collections.abc import Sequence

from strategies import Strategy, config_of
from strategies.strategy import SHIPPED

from ..machine.limits import memory_left
from ..settings.config import ConfigError
from ..settings.faults import contained
from ..work.capacity import predicted_peak_bytes
from ..work.memory_fit import weight_bytes
from .cell_job import CellJob

MAIN = "__main__"
"""The module of what a script or a notebook defines, which no other process can import."""
ON_DEVICE = "cluster.gpus=all"
SPOILED = "CUDA was spoiled for the run's own process"


def module_of(strategy: Strategy) -> str:
    """The module that defines a strategy."""
    return type(strategy).__module__


def require_importable(strategies: Sequence[Strategy], isolate: str) -> None:
    """Raise ConfigError where isolation is asked for and impossible: another process could not find a strategy, say."""
    if isolate == "process" and not hasattr(os, "fork"):
        raise ConfigError("isolate=process needs a system whose processes can fork; give isolate=none")
    if isolate == "process" and (mine := [one.label for one in strategies if module_of(one) == MAIN]):
        raise ConfigError(
            f"isolate=process needs strategies that another process can import, and {mine[0]} is defined in the script "
            "or notebook that runs; move it into a file that is imported, or give isolate=none"
        )


def why_apart(job: CellJob) -> str:
    """Say why a cell is measured in a process of its own, in words for the closing summary; "" where it is not."""
    if job.isolate != "auto":
        return "isolate=process" if job.isolate == "process" else ""
    reason = _why(job)
    return f"isolate=auto: {reason}" if reason else ""


def _why(job: CellJob) -> str:
    modules = {module_of(strategy) for strategy in job.strategies}
    if MAIN in modules or not hasattr(os, "fork"):
        return ""
    if job.cell.device == "cuda":
        return "they run on CUDA"
    if job.measure.cell_seconds_max is not None:
        return "their time is limited"
    if modules - {*SHIPPED}:
        return "their strategies are not shipped with decodebench"
    return "their forecast exceeds half of the memory left" if forecast_bytes(job) > memory_left().amount / 2 else ""


def forecast_bytes(job: CellJob) -> int:
    """Bytes that the weights and the largest decoding of a cell are predicted to take; 0 where that is not known."""
    found = [0]
    with contained(lambda fault: None):
        config = config_of(job.cell.model)
        weights = weight_bytes(config, job.cell)
        for strategy in job.strategies:
            with contained(lambda fault: None):
                found.append(weights + predicted_peak_bytes(config, job.cell, strategy, padded=False))
    return max(found)
