"""mBART and mBART-50, whose target language is a forced token or the start token."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig
from .bart_layout import OF_STACKS, PREFIX, SHARED, STRAYS, WITH_HEAD, layout_facts, layout_names, layout_raw_config
from .family import Facts, Family

NAME = "MBartForConditionalGeneration"
IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "forced_eos_token_id": 2}


def facts(raw: Mapping[str, Any]) -> Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    return layout_facts(raw, {"architecture": "mbart"}, IDS)


def raw_config(config: ModelConfig) -> dict[str, Any]:
    """What ``config.json`` says of a model, without its special ids."""
    most = {"max_position_embeddings": config.tgt_positions}
    return layout_raw_config(config, "mbart", NAME) | most


FAMILY = Family(
    types=("mbart",),
    example=NAME,
    with_head=WITH_HEAD,
    facts=facts,
    names=layout_names,
    raw_config=raw_config,
    shared=SHARED,
    of_stacks=OF_STACKS,
    has_logits_bias=True,
    strays=STRAYS,
    prefix=PREFIX,
)
