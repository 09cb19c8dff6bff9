"""Metrics of work: FLOPs and bytes by closed formulas, which tests hold equal to what the running model does."""

from __future__ import annotations

from .metric import NAN, Case, metric


@metric("FLOPs", "lower", "what the kernels were asked to do: encoder + every decode step, matrix products only")
def executed_flops(case: Case) -> float:
    """Executed FLOPs."""
    return case.executed_flops


@metric("FLOPs", "neither", "any exact incremental decoder: one row a step, k keys, unpadded source, cross K/V once")
def necessary_flops(case: Case) -> float:
    """Necessary FLOPs, the same for every strategy."""
    return case.necessary_flops


@metric("ratio", "lower", "executed FLOPs / necessary FLOPs")
def flops_waste(case: Case) -> float:
    """Executed over necessary FLOPs."""
    return case.executed_flops / case.necessary_flops if case.necessary_flops else NAN


@metric("bytes", "lower", "mean over steps of weights + self K/V + cross K/V + concatenation copies; activations apart")
def step_bytes(case: Case) -> float:
    """Bytes that a decode step moves, as a mean over steps."""
    return case.moved_bytes / case.steps if case.steps else NAN


@metric("FLOPs/byte", "higher", "FLOPs of all decode steps / bytes they move")
def intensity_flops_per_byte(case: Case) -> float:
    """Arithmetic intensity of decoding."""
    return case.decode_flops / case.moved_bytes if case.moved_bytes else NAN
