"""Generation settings of a checkpoint that transformers follows and a search here does not.

Its special, forced and suppressed ids are followed (``special_ids.py``).
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .regular_file import exists, read_object

WITHOUT_EFFECT: dict[str, tuple[object, ...]] = {
    "num_beams": (1,),
    "do_sample": (False,),
    "min_length": (0, 1),
    "min_new_tokens": (0,),
    "repetition_penalty": (1.0,),
    "encoder_repetition_penalty": (1.0,),
    "no_repeat_ngram_size": (0,),
    "encoder_no_repeat_ngram_size": (0,),
    "bad_words_ids": (),
    "sequence_bias": (),
    "exponential_decay_length_penalty": (),
    "guidance_scale": (1.0,),
    "penalty_alpha": (0.0,),
    "watermarking_config": (),
    "stop_strings": (),
    "num_beam_groups": (1,),
    "force_words_ids": (),
    "constraints": (),
    "min_p": (0.0,),
    "top_h": (),
    "typical_p": (1.0,),
    "epsilon_cutoff": (0.0,),
    "eta_cutoff": (0.0,),
    "renormalize_logits": (False,),
}
"""Setting of transformers' ``GenerationConfig`` that can change the tokens or the end of a sentence -> the values with
which it does not. null and empty values never do. The maximum length is not listed, because a run sets its own, nor
``remove_invalid_values``, because a model whose logits are not finite is refused."""
ACTS_WITH = dict.fromkeys(("min_p", "top_h", "typical_p", "epsilon_cutoff", "eta_cutoff"), "do_sample")
ACTS_WITH |= dict.fromkeys(("num_beam_groups", "renormalize_logits"), "num_beams")
"""Setting -> the one without which it does nothing."""


def not_followed(folder: Path, followed: Mapping[str, object] | None = None) -> tuple[str, dict[str, Any]]:
    """Return (the name of the file, its settings that would change the tokens of the search here).

    ``followed`` are settings that this search has, by their names in transformers; none for greedy search. The file is
    ``generation_config.json``, or ``config.json`` where that does not exist. Raises ModelError if it holds no JSON
    object.
    """
    path = folder / "generation_config.json"
    path = path if exists(path) else folder / "config.json"
    given = dict(read_object(path, "save the checkpoint again"))
    kept = WITHOUT_EFFECT | {key: (value,) for key, value in (followed or {}).items()}
    if isinstance(words := given.get("bad_words_ids"), list):  # those of one token are never chosen here either
        given["bad_words_ids"] = [word for word in words if not isinstance(word, list) or len(word) > 1]
    found = {
        key: given[key]
        for key, plain in kept.items()
        if given.get(key) is not None and given[key] not in ([], {}, "", *plain)
    }
    asked = {None, *found, *(followed or {})}
    found = {key: value for key, value in found.items() if ACTS_WITH.get(key) in asked}
    places = given.get("forced_decoder_ids")
    if isinstance(places, list) and any(isinstance(pair, list) and pair[-1:] == [None] for pair in places):
        found["forced_decoder_ids"] = places
    return path.name, found
