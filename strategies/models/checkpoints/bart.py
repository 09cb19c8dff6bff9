"""BART.

Folders of the first releases were saved without their head, which is the embedding, as a ``BartModel``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from ..config import ModelConfig
from .bart_layout import OF_STACKS, PREFIX, SHARED, STRAYS, layout_facts, layout_names, layout_raw_config
from .family import Facts, Family

NAME = "BartForConditionalGeneration"
IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}


def facts(raw: Mapping[str, Any]) -> Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    return layout_facts(raw, {"architecture": "bart"}, IDS)


def raw_config(config: ModelConfig) -> dict[str, Any]:
    """What ``config.json`` says of a model, without its special ids."""
    most = {"max_position_embeddings": config.tgt_positions}
    return layout_raw_config(config, "bart", NAME) | most


FAMILY = Family(
    types=("bart",),
    example=NAME,
    with_head=re.compile(r"\w*ForConditionalGeneration|BartModel"),
    facts=facts,
    names=layout_names,
    raw_config=raw_config,
    shared=SHARED,
    of_stacks=OF_STACKS,
    has_logits_bias=True,
    strays=STRAYS,
    prefix=PREFIX,
)
