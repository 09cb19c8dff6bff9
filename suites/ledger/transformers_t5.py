"""The T5 of ``transformers``: built with random weights, and recorded in each way in which it runs."""

from __future__ import annotations

import dataclasses
import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch

from strategies import ModelConfig

from ..probes.products import record
from ..probes.recording import Recording
from ..settings.config import ConfigError
from .expected import TRAINING, Phase

NO_CACHE, DYNAMIC, STATIC = "use_cache=False", "dynamic cache", "static cache"
_NAMES = {"SelfAttention": "self_attn", "EncDecAttention": "cross_attn", "DenseReluDense": "ffn", "o": "out"}
"""Names of modules in transformers -> our names."""


@dataclasses.dataclass(frozen=True)
class Lengths:
    """Sizes of a recording: batch B, source S, target N, the step k, and the capacity C of a static cache."""

    batch: int
    source: int
    target: int
    step: int
    capacity: int


def build(config: ModelConfig) -> Any:
    """Build a ``T5ForConditionalGeneration`` of these sizes, random weights. Raises ConfigError if there is none."""
    if config.architecture != "t5":
        raise ConfigError("--module transformers builds a T5, and this model is none; give model=small or another T5")
    if config.group > 1:
        raise ConfigError(
            f"--module transformers builds a T5, which has as many K/V heads as heads, not {config.kv_heads} of "
            f"{config.num_heads}; leave model.num_kv_heads out"
        )
    others = (
        "mel_bins", "encoder_heads", "encoder_d_kv", "encoder_d_ff", "encoder_positions", "src_vocab_size",
        "relative_per_layer", "prefix_ids",
    )  # fmt: skip
    if other := [name for name in others if getattr(config, name)]:
        raise ConfigError(f"--module transformers builds a T5, which has no {other[0]}; leave model.{other[0]} out")
    try:
        from transformers import T5Config, T5ForConditionalGeneration
    except ImportError:
        raise ConfigError("transformers is not installed; pip install 'decodebench[peers]'") from None
    gated = "gated-gelu" if config.gated else "relu"
    shape: Any = T5Config
    shape = shape(
        vocab_size=config.vocab_size,
        d_model=config.d_model,
        d_kv=config.d_kv,
        d_ff=config.d_ff,
        num_heads=config.num_heads,
        num_layers=config.encoder_layers,
        num_decoder_layers=config.decoder_layers,
        feed_forward_proj=gated,
        tie_word_embeddings=config.tie_head,
        decoder_start_token_id=config.start_id,
    )
    model: Any = T5ForConditionalGeneration(shape)
    return model.eval()


def recordings(
    model: Any, at: Lengths, advance: Callable[[], None]
) -> Iterator[tuple[str, Phase, int | None, Recording]]:
    """Run the model in each way and yield (way, phase, step k, what was recorded).

    The ways are training, no cache, dynamic cache and static cache. ``advance`` is called after each step of a cache.
    """
    from transformers.cache_utils import DynamicCache, EncoderDecoderCache, StaticCache

    generator = torch.Generator().manual_seed(0)
    vocabulary = model.config.vocab_size
    src_BS = torch.randint(2, vocabulary, (at.batch, at.source), generator=generator)
    token_BN = torch.randint(2, vocabulary, (at.batch, max(2, at.target)), generator=generator)
    own = model.decoder.config
    # The name of the argument changed within transformers 5.
    name = "cache" if "cache" in inspect.signature(model.forward).parameters else "past_key_values"
    with record(model) as recording:
        model(input_ids=src_BS, decoder_input_ids=token_BN[:, : at.target], use_cache=False)
    yield TRAINING, "training", None, recording
    with record(model) as recording:
        encoded = model.encoder(input_ids=src_BS)
    yield NO_CACHE, "prefill", None, recording
    with record(model) as recording:
        model(encoder_outputs=encoded, decoder_input_ids=token_BN[:, : at.step], use_cache=False)
    yield NO_CACHE, "step", at.step, recording
    caches = {
        DYNAMIC: EncoderDecoderCache(DynamicCache(), DynamicCache()),
        STATIC: EncoderDecoderCache(
            StaticCache(config=own, max_cache_len=at.capacity), StaticCache(config=own, max_cache_len=at.source)
        ),
    }
    for label, cache in caches.items():
        with record(model) as recording:
            encoded = model.encoder(input_ids=src_BS)
        yield label, "prefill", None, recording
        for k in range(1, max(2, at.step) + 1):
            step = {"decoder_input_ids": token_BN[:, k - 1 : k], "use_cache": True, name: cache}
            if k in (1, at.step, max(2, at.step)):
                with record(model) as recording:
                    model(encoder_outputs=encoded, **step)
                yield label, "step", k, recording
            else:
                model(encoder_outputs=encoded, **step)
            advance()


def renamed(recording: Recording) -> Recording:
    """The recorded products, with roles under our names."""

    def ours(path: str) -> str:
        return ".".join(_NAMES.get(part, part) for part in path.split("."))

    products = [
        dataclasses.replace(r, product=dataclasses.replace(r.product, role=ours(r.product.role)))
        for r in recording.products
    ]
    return Recording(products, [])
