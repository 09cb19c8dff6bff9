"""Pegasus, whose sinusoids may be stored, and are then read as they are."""

from __future__ import annotations

from .bart_layout import TABLES, layout_family

IDS = {"pad_token_id": 0, "eos_token_id": 1, "decoder_start_token_id": 0, "forced_eos_token_id": 1}
FAMILY = layout_family("pegasus", "PegasusForConditionalGeneration", IDS, tables=TABLES)
