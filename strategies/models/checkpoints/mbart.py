"""mBART and mBART-50, whose target language is a forced token or the start token."""

from __future__ import annotations

from .bart_layout import layout_family

IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "forced_eos_token_id": 2}
FAMILY = layout_family("mbart", "MBartForConditionalGeneration", IDS)
