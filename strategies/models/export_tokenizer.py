"""The smallest tokenizer that a converter accepts, for an exported model: the word of each id is its number."""

from __future__ import annotations

from typing import Any

from .config import ModelConfig

PAD = "<pad>"
START, END, NO_TIMESTAMPS = "<|startoftranscript|>", "<|endoftext|>", "<|notimestamps|>"


def words_of_whisper(config: ModelConfig) -> dict[int, str]:
    """The words by which CTranslate2 finds ids of a Whisper: its start, its end, and the last token of its prompt.

    Without the last, it would follow rules for time stamps. Other words have a part in tasks that are not run here.
    """
    return {config.start_id: START, config.eos_id: END} | dict.fromkeys(config.prefix_ids[-1:], NO_TIMESTAMPS)


def tokenizer_files(config: ModelConfig) -> dict[str, dict[str, Any]]:
    """The files of the tokenizer by their names.

    A few ids have the words by which CTranslate2 knows them: Marian's padding, and the start, the end and the last
    forced token of Whisper, without which it would choose among timestamps.
    """
    words = [str(number) for number in range(max(config.vocab_size, config.source_vocabulary))]
    if config.architecture == "marian":
        words[config.pad_id] = PAD
    elif config.architecture == "whisper":
        for number, word in words_of_whisper(config).items():
            words[number] = word
    unknown = next(word for word in reversed(words) if word.isdigit())
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
