"""A checkpoint in CTranslate2's format, made once and kept beside the original."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..store.files import made_once


def converted(checkpoint: Path) -> Path:
    """Path of the T5 checkpoint in CTranslate2's format, in float32; it is converted if that is not there yet.

    CTranslate2 4.8.5 asks ``tie_word_embeddings`` whether logits are scaled by 1 / sqrt(D). transformers 5 says true of
    every T5 there, and keeps the answer in ``scale_decoder_outputs``. Without it, the logits of a T5 whose head is not
    tied (v1.1, Flan) would be too small. Greedy search chooses the same tokens from them. Beam search does not.
    """
    return made_once(checkpoint.with_name("ctranslate2-scaled-as-told"), lambda part: _convert(checkpoint, part))


def _convert(checkpoint: Path, part: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_model(self, *args: Any, **more: Any) -> Any:
            model = super().load_model(*args, **more)
            config = model.config
            config.tie_word_embeddings = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
            return model

    Converter(str(checkpoint)).convert(str(part))
