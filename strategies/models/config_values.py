"""The values that the fields of a ``ModelConfig`` may have, each looked at by itself."""

from __future__ import annotations

import reprlib
from typing import Any

from .architectures import CHOICES
from .mistake import Mistake

MAX_SIZE = 2**31 - 1
"""The largest size or id; larger ones overflow 32-bit indices."""
MAX_LAYERS = 10_000
"""The most layers of a stack: layers are Python objects, whose memory and time no formula of weights counts."""
OR_NONE = (
    "num_kv_heads", "encoder_heads", "encoder_d_kv", "encoder_d_ff", "src_vocab_size", "mel_bins", "src_positions",
    "tgt_positions", "encoder_positions", "forced_eos_id",
)  # fmt: skip
ID_LISTS = ("other_eos_ids", "prefix_ids", "suppress_ids", "begin_suppress_ids")
FLAGS = (
    "gated", "tie_head", "scale_head", "relative_per_layer", "zero_at_pad", "norm_first", "embedding_norm",
    "final_norm", "scale_embedding", "scale_scores", "biases", "logits_bias", "ffn_out_fp32",
)  # fmt: skip
LEAST = {"pad_id": 0, "eos_id": 0, "start_id": 0, "forced_eos_id": 0, "first_position": 0, "relative_buckets": 4}


class ModelError(Mistake):
    """A model cannot be built or loaded. The message is one line: what, value, allowed, remedy."""


def check_value(name: str, value: Any) -> None:
    """Raise ModelError for a value that no model could have in this field, whatever its other fields are."""
    told = "null" if value is None else reprlib.repr(value)
    if value is None and name in OR_NONE:
        return
    if name in CHOICES:
        if value not in CHOICES[name]:
            said = "unknown architecture" if name == "architecture" else f"unknown {name}"
            raise ModelError(f"{said} {told}; known: {', '.join(CHOICES[name])}")
    elif name in FLAGS:
        if not isinstance(value, bool):
            raise ModelError(f"{name}={told} is not allowed; give true or false")
    elif name in ("norm_eps", "dropout"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ModelError(f"{name}={told} is not allowed; give a number of at least 0 and below 1")
    elif name in ID_LISTS:
        if not isinstance(value, list | tuple) or not all(type(x) is int and 0 <= x <= MAX_SIZE for x in value):
            raise ModelError(f"{name}={told} is not allowed; give a list of token ids")
    else:
        least = LEAST.get(name, 1)
        most = MAX_LAYERS if name.endswith("_layers") else MAX_SIZE
        if type(value) is not int or not least <= value <= most:
            why = ": two directions, near and far" if name == "relative_buckets" else ""
            raise ModelError(
                f"model size {name}={told} must be a whole number of at least {least} and at most {most}{why}"
            )
