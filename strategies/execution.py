"""What runs the steps of a session that are compiled, or captured as CUDA graphs."""

from __future__ import annotations

from .models.encoder_decoder import Attended, EncoderDecoder
from .models.kernels.execution import Captured, Compiled, Forward
from .strategy import Strategy, StrategyError


def is_captured(strategy: Strategy, device: str, beams: int = 1) -> bool:
    """Whether steps of ``strategy`` are CUDA graphs on ``device``: captured ones, and compiled ones that can be.

    Cross-attention K/V that are reordered with beams move at each step, and a graph reads the same addresses each time.
    """
    asked = strategy.execution == "graph" or (strategy.execution == "compiled" and "graph" in strategy.supports)
    return asked and device == "cuda" and (beams == 1 or strategy.cross_beams != "expanded")


def executor(model: EncoderDecoder, bound: Strategy, batch: int, src_len: int, length_max: int, beams: int) -> Forward:
    """What runs the steps of ``bound``, a compiled or a captured strategy, for decodings of those sizes.

    Raises StrategyError where steps cannot be captured: on another device than CUDA, or where beams move K/V.
    """
    weight = model.embedding.weight
    captured = is_captured(bound, weight.device.type, beams)
    if bound.execution == "compiled":
        key = bound, batch, beams, src_len, length_max, weight.dtype, weight.device, model.training
        return Captured(Compiled(key)) if captured else Compiled(key)
    if not captured and weight.device.type == "cuda":
        raise StrategyError(
            f"{bound.label}: execution=graph reads the same addresses at each step, and cross_beams=expanded moves "
            "K/V; give shared or expanded_once"
        )
    if not captured:
        raise StrategyError(f"{bound.label}: execution=graph needs a CUDA device; give eager or compiled")
    return Captured()


def written(new: Attended, held: Attended) -> Attended:
    """Copy the sources just read into ``held``, whose addresses a captured step reads; return ``held``."""
    if held.source_bias is not None:
        assert new.source_bias is not None
        held.source_bias.copy_(new.source_bias)
    for old, source in zip(held.sources, new.sources, strict=True):
        old.copy_(source)
    return held
