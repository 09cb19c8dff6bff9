"""The fields of a ``ModelConfig`` that must go together."""

from __future__ import annotations

from typing import TYPE_CHECKING

from .config_values import ID_LISTS, ModelError

if TYPE_CHECKING:
    from .config import ModelConfig

SHOWN = 256
"""The largest divisor that a message names, beside the number itself."""


def check_together(config: ModelConfig) -> None:
    """Raise ModelError for fields that make no model together, each of which could be right by itself."""
    of_encoder = config.encoder_positions or config.positions
    for name in ("num_heads", "encoder_heads"):
        heads = getattr(config, name)
        if (
            config.num_kv_heads is None
            or heads is None
            or (type(config.num_kv_heads) is int and 1 <= config.num_kv_heads and heads % config.num_kv_heads == 0)
        ):
            continue
        known = [n for n in range(1, min(heads, SHOWN) + 1) if heads % n == 0]
        divisors = ", ".join(map(str, dict.fromkeys([*known, heads])))
        raise ModelError(f"num_kv_heads={config.num_kv_heads!r} does not divide {name}={heads}; give one of {divisors}")
    if config.gated and config.architecture == "transformer2017":
        raise ModelError("gated=true needs architecture=t5; the 2017 architecture has a plain ReLU feed-forward")
    if "sinusoidal" in (config.positions, of_encoder) and config.d_model % 2:
        raise ModelError(f"d_model={config.d_model} must be even: sinusoidal positions come in sine and cosine pairs")
    if "relative" in (config.positions, of_encoder) and (config.relative_max_distance <= config.relative_buckets // 2):
        raise ModelError(
            f"relative_max_distance={config.relative_max_distance} must exceed {config.relative_buckets // 2}, "
            f"the distances that relative_buckets={config.relative_buckets} tell apart exactly"
        )
    for name, positions in (("tgt_positions", config.positions), ("src_positions", of_encoder)):
        if positions == "learned" and getattr(config, name) is None:
            raise ModelError(f"learned positions are a table of weights; give {name}=NUMBER, its length")
    if config.mel_bins is not None and (config.src_positions is None or config.src_vocab_size is not None):
        raise ModelError(
            "a source of features (mel_bins) has a fixed number of positions and no vocabulary; give "
            "src_positions, and leave src_vocab_size out"
        )
    ids = [(name, getattr(config, name)) for name in ("pad_id", "eos_id", "start_id")]
    ids += [(name, number) for name in ID_LISTS for number in getattr(config, name)]
    if config.forced_eos_id is not None:
        ids.append(("forced_eos_id", config.forced_eos_id))
    for name, value in ids:
        if not value < config.vocab_size:
            raise ModelError(
                f"{name}={value} lies outside the vocabulary of {config.vocab_size}; give ids below {config.vocab_size}"
            )
    if len({*config.suppress_ids, *config.begin_suppress_ids, *config.eos_ids}) == config.vocab_size:
        raise ModelError(
            f"suppress_ids, begin_suppress_ids and the EOS ids cover the whole vocabulary of {config.vocab_size}, "
            "which leaves nothing to choose; suppress fewer ids"
        )
    if config.forced_eos_id in config.suppress_ids:
        raise ModelError(
            f"forced_eos_id={config.forced_eos_id} is one of suppress_ids, which are never chosen; take it out of one "
            "of them"
        )
    if not config.pad_id < (config.src_vocab_size or config.vocab_size):
        raise ModelError(f"pad_id={config.pad_id} lies outside the source vocabulary of {config.src_vocab_size}")
