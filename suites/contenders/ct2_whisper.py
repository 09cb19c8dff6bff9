"""A call of CTranslate2's Whisper, which reads features and calls nobody back."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Literal

from .decoded import Decoded

if TYPE_CHECKING:
    from strategies import ModelConfig

    from ..settings.features import Features


def placed(model: Any, features: Features) -> Any:
    """Features where a loaded Whisper computes and in its type, which its call would otherwise make of them itself."""
    from ctranslate2 import DataType, Device, StorageView

    dtype = getattr(DataType, model.compute_type.rpartition("_")[2])  # "int8_float16" computes in float16
    return StorageView.from_array(features).to(dtype).to_device(getattr(Device, model.device))


def decode_features(
    model: Any,
    config: ModelConfig,
    features: Features,
    tgt_len: int,
    stop: Literal["fixed", "eos"],
    options: Mapping[str, Any],
) -> Decoded:
    """Call ``generate`` once, with start and return as the only marks; ``options`` are those of the search.

    With a fixed length, EOS is one of the ids that are never chosen. CTranslate2 returns the tokens without it, and no
    more than half of ``max_length``, nor more than what the prompt leaves of it.
    """
    prompt = [config.start_id, *config.prefix_ids]
    never = [*config.suppress_ids, *(config.eos_ids if stop == "fixed" else ())]
    given = placed(model, features)
    start = time.perf_counter()
    results = model.generate(
        given,
        [prompt] * len(features),
        max_length=max(2 * tgt_len, tgt_len + len(prompt)),
        suppress_blank=bool(config.begin_suppress_ids),
        suppress_tokens=never,
        **options,
    )
    end = time.perf_counter()
    rows = [list(sequence) for result in results for sequence in result.sequences_ids]
    if stop == "eos":
        rows = [row if len(row) == tgt_len else [*row, config.eos_id] for row in rows]
    scores = [score for result in results for score in result.scores] if options.get("return_scores") else None
    return Decoded(rows, [0.0, math.nan, math.nan, end - start], False, scores)
