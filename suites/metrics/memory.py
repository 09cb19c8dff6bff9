"""Metrics of memory: K/V, peak, weights, and what fits."""

from __future__ import annotations

from .metric import NAN, Case, metric


@metric("bytes", "lower", "K/V memory that persists after the last step, self and cross, filled or not")
def kv_reserved_bytes(case: Case) -> float:
    """K/V bytes reserved, filled or not."""
    return case.kv_reserved_bytes


@metric("bytes", "lower", "the part of it that holds keys and values")
def kv_used_bytes(case: Case) -> float:
    """K/V bytes used: the part of those reserved that holds keys and values."""
    return case.kv_used_bytes


@metric("bytes", "lower", "the part of kv_reserved_bytes that cross-attention keeps of the sources")
def kv_cross_bytes(case: Case) -> float:
    """K/V bytes reserved for cross-attention: those of the source."""
    return case.kv_cross_bytes


@metric("ratio", "lower", "kv_reserved_bytes / kv_used_bytes: 1 wastes nothing")
def kv_waste(case: Case) -> float:
    """K/V memory that is reserved over the part of it that is used."""
    return case.kv_reserved_bytes / case.kv_used_bytes if case.kv_used_bytes else NAN


@metric("blocks", "lower", "blocks of K/V that a layer has reserved in its pool for all sequences")
def kv_reserved_blocks(case: Case) -> float:
    """Blocks of K/V reserved in the pool of a layer."""
    return case.kv_reserved_blocks


@metric("blocks", "lower", "the part of them in use after the last step; a block that several beams share counts once")
def kv_used_blocks(case: Case) -> float:
    """Blocks of K/V in use in the pool of a layer."""
    return case.kv_used_blocks


@metric(
    "bytes", "lower", "peak of live tensor bytes above the weights, in a round of its own (CUDA: the allocator's peak)"
)
def peak_memory_bytes(case: Case) -> float:
    """Measured peak memory above the weights."""
    return case.peak_memory_bytes


@metric("bytes", "neither", "resident memory of the whole process at the end, all strategies together: no comparison")
def rss_bytes(case: Case) -> float:
    """Resident memory (RSS) of the process, which all strategies share."""
    return case.rss_bytes


@metric("bytes", "lower", "resident memory of a process of the strategy alone, once it has loaded")
def loaded_rss_bytes(case: Case) -> float:
    """Resident memory after loading, of a process that decodes by this strategy alone."""
    return case.loaded_rss_bytes


@metric("bytes", "lower", "the most resident memory of that process: loading, packing, compilation and decoding")
def decode_rss_bytes(case: Case) -> float:
    """Peak resident memory of a process that decodes by this strategy alone."""
    return case.decode_rss_bytes


@metric("bytes", "lower", "weight_bytes + kv_reserved_bytes: what decode_rss_bytes holds besides code")
def decode_rss_formula_bytes(case: Case) -> float:
    """Memory of weights and K/V, which the process of a strategy must hold."""
    return case.model_weight_bytes + case.kv_reserved_bytes


@metric("bytes", "lower", "peak of live tensor bytes above the weights, by formula (strategies/models/footprint/)")
def predicted_peak_bytes(case: Case) -> float:
    """Peak memory above the weights that the formula predicts."""
    return case.predicted_peak_bytes


@metric("sentences", "higher", "the largest batch at these lengths whose weights + predicted peak fit in memory_bytes")
def batch_max_sentences(case: Case) -> float:
    """Largest batch that fits in memory."""
    return case.batch_max


@metric(
    "tokens",
    "higher",
    "the largest source = target length (features: target alone) at this batch whose weights + predicted peak fit",
)
def length_max_tokens(case: Case) -> float:
    """Largest source = target length that fits in memory, within the model's positions."""
    return case.length_max


@metric("bytes", "neither", "memory that weights and decoding may use: measure.memory_gib, or the device's")
def memory_bytes(case: Case) -> float:
    """Memory for which batch_max_sentences and length_max_tokens were computed."""
    return case.memory_bytes


@metric("bytes", "lower", "parameters, with the copies that kernels and narrower weights read")
def weight_bytes(case: Case) -> float:
    """Memory of the model's parameters."""
    return case.model_weight_bytes


@metric("bytes", "lower", "mean over steps of cache rows that concatenation reads and writes anew")
def copied_bytes(case: Case) -> float:
    """Bytes per step that growing a cache copies."""
    return case.copied_bytes / case.steps if case.steps else NAN
