"""A checkpoint in CTranslate2's format, made once and kept beside the original."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from strategies import ModelConfig, ModelSpec, config_of
from strategies.models.export_tokenizer import words_of_whisper

from ..errors import UnavailableError
from .made_folder import made_folder, versioned


def ct2_name() -> str:
    """The name of the folder, with a digest of what converts it."""
    return versioned("ctranslate2", "torch", "transformers", "ctranslate2")


def ct2_folder(checkpoint: Path) -> Path:
    """The folder of the checkpoint in CTranslate2's format, in float32; it is converted if that is not there yet.

    Decoding starts from the model's own start token, where CTranslate2 would take a family's usual one.

    CTranslate2 4.8.5 asks ``tie_word_embeddings`` whether logits are scaled by 1 / sqrt(D). transformers 5 says true of
    every T5 there, and keeps the answer in ``scale_decoder_outputs``. Without it, the logits of a T5 whose head is not
    tied (v1.1, Flan) would be too small. Greedy search chooses the same tokens from them. Beam search does not.

    Raises UnavailableError for a Marian that does not start from zeros, as CTranslate2 has all of them start.
    """
    return made_folder(checkpoint, ct2_name(), lambda part: _convert(checkpoint, part))


def _convert(checkpoint: Path, part: Path) -> None:
    from ctranslate2.converters import TransformersConverter

    of = config_of(ModelSpec(checkpoint.name, "checkpoint", str(checkpoint)))

    class Converter(TransformersConverter):  # type: ignore[misc]
        def load_model(self, *args: Any, **more: Any) -> Any:
            model = super().load_model(*args, **more)
            config = model.config
            if of.architecture == "marian" and bool(model.get_input_embeddings().weight[of.pad_id].any()):
                raise UnavailableError("CTranslate2 starts a Marian from zeros, and this one's padding is embedded")
            config.tie_word_embeddings = getattr(config, "scale_decoder_outputs", config.tie_word_embeddings)
            return model

    Converter(str(checkpoint)).convert(str(part))
    if of.architecture == "whisper":
        _name_words(part, of)
    elif of.architecture != "marian":  # which starts from zeros
        path = part / "config.json"
        started = {"decoder_start_token": str(of.start_id)}
        path.write_text(json.dumps(json.loads(path.read_text()) | started))


def _name_words(folder: Path, config: ModelConfig) -> None:
    """Call the special ids of a converted Whisper, whose words are numbers, by the words that CTranslate2 looks for."""
    path = folder / "vocabulary.json"
    words = json.loads(path.read_text())
    for number, word in words_of_whisper(config).items():
        words[number] = word
    path.write_text(json.dumps(words))
