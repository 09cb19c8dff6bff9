"""Options of a model that its other options leave without effect."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from .architectures import OPTIONS

_OF_POSITIONS = {
    **dict.fromkeys(("relative_buckets", "relative_max_distance", "relative_per_layer"), ("relative",)),
    **dict.fromkeys(("sinusoid_order", "sinusoid_exponent"), ("sinusoidal",)),
    **dict.fromkeys(("first_position", "zero_at_pad"), ("sinusoidal", "learned")),
}
"""Option of a model -> the positions with which it has an effect."""


def why_idle_option(name: str, shape: Mapping[str, Any]) -> str:
    """Say why an option has no effect on a model of random weights; "" where it has, or where it is no option.

    ``shape`` holds the fields of ``ModelConfig`` that are given. The text continues a sentence that ends in "has no
    effect", and says what to do.

    >>> why_idle_option("sinusoid_order", {"architecture": "bart", "sinusoid_order": "halves"})
    'with learned positions; give model.positions=sinusoidal, or leave it out'
    """
    if name == "dropout":
        return "on decoding, as dropout is for training; leave it out"
    architecture: Any = shape.get("architecture") or "t5"
    if name not in _OF_POSITIONS or str(architecture) not in OPTIONS:  # the model itself refuses an unknown one
        return ""
    of_decoder = shape.get("positions") or OPTIONS[architecture]["positions"]
    kinds, found = _OF_POSITIONS[name], {str(of_decoder)}
    if name != "zero_at_pad" or shape.get("mel_bins") is None:  # features have no pad ids
        found.add(str(shape.get("encoder_positions") or of_decoder))
    if found & {*kinds}:
        return ""
    return f"with {' and '.join(sorted(found))} positions; give model.positions={kinds[0]}, or leave it out"
