"""The smallest tokenizer that a converter accepts, for an exported model: the word of each id is its number."""

from __future__ import annotations

from typing import Any

from .config import ModelConfig

PAD = "<pad>"


def tokenizer_files(config: ModelConfig) -> dict[str, dict[str, Any]]:
    """The files of the tokenizer by their names. The padding of Marian, where it is the last id, is called "<pad>"."""
    words = [str(number) for number in range(max(config.vocab_size, config.source_vocabulary))]
    if config.architecture == "marian" and config.pad_id == len(words) - 1:
        words[config.pad_id] = PAD
    unknown = next(word for word in reversed(words) if word != PAD)
    empty = ("truncation", "padding", "normalizer", "pre_tokenizer", "post_processor", "decoder")
    vocabulary = {word: number for number, word in enumerate(words)}
    model = {"type": "WordLevel", "vocab": vocabulary, "unk_token": unknown}
    of_start = {} if config.architecture == "t5" else {"bos_token": words[config.start_id]}
    return {
        "tokenizer.json": {"version": "1.0", **dict.fromkeys(empty), "added_tokens": [], "model": model},
        "tokenizer_config.json": {
            "tokenizer_class": "PreTrainedTokenizerFast",
            **of_start,
            "eos_token": words[config.eos_id],
            "pad_token": words[config.pad_id],
            # A tokenizer must name one, although no word is unknown to this one.
            "unk_token": unknown,
        },
    }
