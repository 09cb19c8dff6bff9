"""The embedded model: English spelling to ARPAbet phonemes, whole phrases at a time (see MODEL_CARD.md)."""

from __future__ import annotations

from ..config import ModelConfig
from ..encoder_decoder import EncoderDecoder
from .text import HERE, START, TextError, Vocabulary, load_vocabulary

WEIGHTS = HERE / "weights.safetensors"

__all__ = ["TextError", "Vocabulary", "load_pronounce", "load_vocabulary", "model_config"]


def model_config(dropout: float = 0.0) -> ModelConfig:
    """The configuration: 2017 architecture, D 192, 4 heads of 48, F 768, 3 + 3 layers, 3.1 M parameters."""
    vocabulary = load_vocabulary()
    return ModelConfig(
        vocab_size=len(vocabulary),
        d_model=192,
        num_heads=4,
        d_kv=48,
        d_ff=768,
        encoder_layers=3,
        decoder_layers=3,
        architecture="transformer2017",
        start_id=vocabulary.id(START),
        dropout=dropout,
    )


def load_pronounce() -> EncoderDecoder:
    """The trained model, float32 on the CPU."""
    from ..checkpoints.own_format import load_own

    return load_own(WEIGHTS, model_config())
