"""Marian (opus-mt), with one vocabulary for both languages or two. Stored sinusoids are read as they are."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..config import ModelConfig
from .bart_layout import TABLES, layout_facts, layout_family, layout_raw_config
from .family import Facts
from .raw_values import flag, size

NAME = "MarianMTModel"
IDS = {"pad_token_id": 58100, "eos_token_id": 0, "decoder_start_token_id": 58100, "forced_eos_token_id": 0}


def facts(raw: Mapping[str, Any]) -> Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    found = layout_facts(raw, {"architecture": "marian"}, IDS)
    if flag(raw, "share_encoder_decoder_embeddings", True):
        return found
    own = {"src_vocab_size": found.fields["vocab_size"]}
    if raw.get("decoder_vocab_size") is not None:
        own["vocab_size"] = size(raw, "decoder_vocab_size")
    return replace(found, fields={**found.fields, **own}, separate=False)


def raw_config(config: ModelConfig) -> dict[str, Any]:
    """What ``config.json`` says of a model, without its special ids."""
    return layout_raw_config(config, "marian", NAME) | {
        "max_position_embeddings": config.tgt_positions,
        "vocab_size": config.src_vocab_size or config.vocab_size,
        "decoder_vocab_size": config.vocab_size,
        "share_encoder_decoder_embeddings": config.src_vocab_size is None,
    }


FAMILY = layout_family(
    "marian",
    NAME,
    IDS,
    with_head=re.compile(r"\w*(ForConditionalGeneration|MTModel)"),
    facts=facts,
    raw_config=raw_config,
    tables=TABLES,
)
