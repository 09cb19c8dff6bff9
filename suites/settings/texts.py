"""Reading of a user's file of texts, one sentence per line, as token ids by the tokenizer of the model."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING

from strategies.models.message_text import plain

from .config import ConfigError
from .rules import shown
from .sources import Ids, read_lines

if TYPE_CHECKING:
    from strategies import ModelConfig, ModelSpec

REMEDY = "write a sentence a line"
NO_LANGUAGE = (
    "no language of the outputs is named, so they begin with the start token alone; "
    'write "tgt_lang" into the folder\'s tokenizer_config.json'
)
"""What is said of a model that ``lacks_language``."""


def encoder_of(spec: ModelSpec) -> Callable[[str], list[int]]:
    """The function that turns a text into source ids for a model.

    Raises ConfigError for a model of random weights, which has no tokenizer, and ModelError for a checkpoint folder
    without one.
    """
    if spec.source == "pronounce":
        from strategies import load_vocabulary

        return load_vocabulary().spell
    if spec.source == "checkpoint":
        from strategies.models.checkpoints.texts import open_text

        return open_text(str(spec.checkpoint)).encode
    raise ConfigError(
        f"model={spec.name} has random weights and no tokenizer; give token ids by src_ids=FILE, or a checkpoint by "
        "model=checkpoint model.checkpoint=DIR"
    )


def unforced_language(spec: ModelSpec) -> int | None:
    """The token of the language that a checkpoint folder names for outputs, where they do not begin with it.

    None where the folder names none, forces a token itself, or starts with that language (mBART). Raises ModelError.
    """
    from strategies import config_of
    from strategies.models.checkpoints.texts import open_text

    language, config = open_text(str(spec.checkpoint)).target_language_id, config_of(spec)
    return None if config.prefix_ids or language == config.start_id else language


def in_language(spec: ModelSpec) -> ModelSpec:
    """A spec whose outputs begin with the language that its folder names for them (``unforced_language``).

    Unchanged are specs that settle ``prefix_ids`` themselves, and models that are no checkpoint. Raises ModelError.
    """
    from strategies import config_of

    if spec.source != "checkpoint" or "prefix_ids" in dict(spec.shape) or config_of(spec).mel_bins is not None:
        return spec
    language = unforced_language(spec)
    return spec if language is None else replace(spec, shape=(*spec.shape, ("prefix_ids", (language,))))


def lacks_language(spec: ModelSpec) -> bool:
    """Whether a checkpoint knows languages and its outputs begin with none of them. Raises ModelError."""
    from strategies import config_of
    from strategies.models.checkpoints.texts import open_text

    config = config_of(spec)
    if spec.source != "checkpoint" or config.prefix_ids or config.mel_bins is not None:
        return False
    known = open_text(str(spec.checkpoint)).language_ids
    return bool(known) and config.start_id not in known


def words_of(spec: ModelSpec) -> Callable[[int], str]:
    """The function that spells a single token of a model. Raises as ``encoder_of`` does."""
    if spec.source == "checkpoint":
        from strategies.models.checkpoints.texts import open_text

        return open_text(str(spec.checkpoint)).word
    encoder_of(spec)
    from strategies import load_vocabulary

    return load_vocabulary().tokens.__getitem__


def output_limit(config: ModelConfig, src_len: int) -> int:
    """The most tokens of an output where nobody gave a number: twice the source, as far as there are positions."""
    from strategies.models.pronounce.evaluate import target_limit

    limit = target_limit(src_len)
    return limit if config.tgt_positions is None else max(1, min(limit, config.tgt_positions - config.target_rows(0)))


def encoded(texts: Iterable[str], spec: ModelSpec, told: str = "text") -> Ids:
    """Token ids of texts, each within the vocabulary and the positions of its model.

    ``told`` begins the message on a text that is not. Raises ConfigError, ModelError or TextError.
    """
    from strategies import config_of

    config = config_of(spec)
    if config.mel_bins is not None:
        raise ConfigError(
            f"{told} 1 cannot be read by {plain(spec.name)}, whose sources are features; `run` takes them by "
            "src_features=FILE.npy"
        )
    encode = encoder_of(spec)
    # The embedded model spells no empty text.
    empty = {config.pad_id, *(encode("") if spec.source == "checkpoint" else ())}
    rows = []
    for number, text in enumerate(texts, 1):
        row = tuple(encode(text))
        if not row:
            raise ConfigError(f"{told} {number} has no token; write a sentence")
        if empty.issuperset(row):
            ids = ", ".join(map(str, sorted(set(row))))
            raise ConfigError(f"{told} {number} has special tokens alone, of ids {ids}; write a sentence")
        if not max(row) < config.source_vocabulary:
            raise ConfigError(
                f"{told} {number} holds token {max(row)}, outside the model's vocabulary of "
                f"{config.source_vocabulary}; give the folder the tokenizer of its own model"
            )
        if config.src_positions is not None and len(row) > config.src_positions:
            raise ConfigError(
                f"{told} {number} has {len(row)} tokens, beyond the model's {config.src_positions} positions; "
                "shorten it, or split it"
            )
        rows.append(row)
    return tuple(rows)


def read_sentences(path: str) -> list[str]:
    """Read a file of sentences, one a line.

    Raises ConfigError for a file that cannot be read, is empty or holds a blank line.
    """
    told = f"src_text={shown(path)}"
    lines = [line.rstrip("\r") for line in read_lines(told, path, "text", REMEDY)]
    for number, line in enumerate(lines, 1):
        if not line.strip():
            raise ConfigError(f"{told}: line {number} is blank; remove it, as each line is a sentence")
    return lines


def read_texts(path: str, spec: ModelSpec) -> Ids:
    """Read a file of sentences as token ids, one row a sentence. Raises what ``read_sentences`` and ``encoded`` do."""
    return encoded(read_sentences(path), spec, f"src_text={shown(path)}: line")
