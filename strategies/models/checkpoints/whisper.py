"""Whisper: a source of features, tables of positions in both stacks, and no bias in the projections of keys.

transformers never scales its embedding, whatever ``scale_embedding`` says.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..config import ModelConfig
from .bart_layout import OF_STACKS, PREFIX, WITH_HEAD, layout_facts, layout_names, layout_raw_config
from .family import Facts, Family, Names
from .raw_values import size

NAME = "WhisperForConditionalGeneration"
IDS = {"pad_token_id": 50256, "bos_token_id": 50256, "eos_token_id": 50256, "decoder_start_token_id": 50257}
HEAD = "proj_out.weight"
WITHOUT_BIAS = ".k_proj.bias"


def facts(raw: Mapping[str, Any]) -> Facts:
    """Read the content of a ``config.json``. Raises ModelError for what is missing, not allowed or not supported."""
    options = {"architecture": "whisper", "mel_bins": size(raw, "num_mel_bins", 80)}
    found = layout_facts(raw, options, IDS, most=("max_source_positions", "max_target_positions"))
    return replace(found, fields={**found.fields, "scale_embedding": False}, separate=False)


def names(config: ModelConfig) -> Names:
    """Our name of a parameter -> the tensors that are stacked to make it."""
    table = {
        ours: [None if str(name).endswith(WITHOUT_BIAS) else name for name in parts]
        for ours, parts in layout_names(config, OF_STACKS[1]).items()
    }
    for conv in ("conv1", "conv2"):
        for kind in ("weight", "bias"):
            table[f"encoder.front_end.{conv}.{kind}"] = [f"model.encoder.{conv}.{kind}"]
    if not config.tie_head:
        table["lm_head.weight"] = [HEAD]
    return table


def raw_config(config: ModelConfig) -> dict[str, Any]:
    """What ``config.json`` says of a model, without its special ids."""
    return layout_raw_config(config, "whisper", NAME) | {
        "num_mel_bins": config.mel_bins,
        "max_source_positions": config.src_positions,
        "max_target_positions": config.tgt_positions,
    }


FAMILY = Family(
    types=("whisper",),
    example=NAME,
    with_head=WITH_HEAD,
    facts=facts,
    names=names,
    raw_config=raw_config,
    shared=OF_STACKS[1],
    of_stacks=(OF_STACKS[1], OF_STACKS[1]),
    head=HEAD,
    prefix=PREFIX,
)
