"""M2M100 and NLLB, whose target language is a forced token. Their sinusoids have no last position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig
from .bart_layout import STRAYS, layout_facts, layout_family, layout_raw_config
from .family import Facts

NAME = "M2M100ForConditionalGeneration"
IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2}
COMPUTED = ("model.encoder.embed_positions.weights", "model.decoder.embed_positions.weights")
"""Sinusoids that the first releases stored and no version of transformers reads."""


def facts(raw: Mapping[str, Any]) -> Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    return layout_facts(raw, {"architecture": "m2m_100"}, IDS, activation="relu", scaled=True, most=None)


def raw_config(config: ModelConfig) -> dict[str, Any]:
    """What ``config.json`` says of a model, without its special ids."""
    return layout_raw_config(config, "m2m_100", NAME)


FAMILY = layout_family(
    "m2m_100", NAME, IDS, facts=facts, raw_config=raw_config, has_logits_bias=False, strays=STRAYS + COMPUTED
)
