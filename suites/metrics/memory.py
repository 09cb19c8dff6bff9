"""Bytes held."""

from __future__ import annotations

from .metric import NAN, Case, metric


@metric("bytes", "lower", "K/V memory that persists after the last step, self and cross, filled or not")
def kv_reserved_bytes(case: Case) -> float:
    """K/V reserved."""
    return case.kv_reserved_bytes


@metric("bytes", "lower", "the part of it that holds keys and values")
def kv_used_bytes(case: Case) -> float:
    """K/V used."""
    return case.kv_used_bytes


@metric(
    "bytes", "lower", "peak of live tensor bytes above the weights, in a round of its own (CUDA: the allocator's peak)"
)
def peak_memory_bytes(case: Case) -> float:
    """Peak memory."""
    return case.peak_memory_bytes


@metric("bytes", "neither", "resident memory of the whole process at the end, all strategies together: no comparison")
def rss_bytes(case: Case) -> float:
    """Process RSS."""
    return case.rss_bytes


@metric("bytes", "lower", "peak of live tensor bytes above the weights, by the formula of models/footprint.py")
def predicted_peak_bytes(case: Case) -> float:
    """What peak_memory_bytes should be."""
    return case.predicted_peak_bytes


@metric("sentences", "higher", "the largest batch at these lengths whose weights + predicted peak fit in memory_bytes")
def batch_max_sentences(case: Case) -> float:
    """How many sentences fit at once."""
    return case.batch_max


@metric("tokens", "higher", "the largest source = target length at this batch whose weights + predicted peak fit")
def length_max_tokens(case: Case) -> float:
    """How long sentences may be."""
    return case.length_max


@metric("bytes", "neither", "memory that weights and decoding may use: measure.memory_gib, or the device's")
def memory_bytes(case: Case) -> float:
    """What batch_max and length_max were reckoned for."""
    return case.memory_bytes


@metric("bytes", "lower", "parameters, in the types that they are loaded in")
def weight_bytes(case: Case) -> float:
    """What the model itself takes."""
    return case.model_weight_bytes


@metric("bytes", "lower", "mean over steps of cache rows that concatenation reads and writes anew")
def copied_bytes(case: Case) -> float:
    """What growing a cache moves."""
    return case.copied_bytes / case.steps if case.steps else NAN
