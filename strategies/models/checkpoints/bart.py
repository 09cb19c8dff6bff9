"""BART.

Folders of the first releases were saved without their head, which is the embedding, as a ``BartModel``.
"""

from __future__ import annotations

import re

from .bart_layout import layout_family

IDS = {"pad_token_id": 1, "bos_token_id": 0, "eos_token_id": 2, "decoder_start_token_id": 2, "forced_eos_token_id": 2}
FAMILY = layout_family(
    "bart",
    "BartForConditionalGeneration",
    IDS,
    with_head=re.compile(r"\w*ForConditionalGeneration|BartModel"),
)
