"""Outputs as text for ``decode``: pronunciations of the embedded model, texts of a checkpoint with a tokenizer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from strategies import ModelSpec, config_of, load_vocabulary
from strategies.models.checkpoints.texts import Tokenizer, open_text

from ..settings.rules import shown
from ..settings.texts import NO_LANGUAGE, in_language, lacks_language


class Words(Protocol):
    """What ``decode`` was given, and how it shows what comes out."""

    @property
    def phrases(self) -> Sequence[str]:
        """The sources as text."""

    @property
    def eos_ids(self) -> Sequence[int]:
        """Ids that end an output."""

    def said(self, ids: Sequence[int]) -> str:
        """One output on one line, from its token ids up to the first end."""

    def entry(self, outputs: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """What the JSON says of one source: ``outputs`` of strategies by label, the oracle's first."""


@dataclass(frozen=True)
class Spoken:
    """Pronunciations, by the vocabulary of the embedded model."""

    phrases: Sequence[str]
    eos_ids: Sequence[int]

    def said(self, ids: Sequence[int]) -> str:
        """Words of phonemes, apart by bars."""
        return " | ".join(" ".join(word) or "(nothing)" for word in load_vocabulary().pronunciation(ids))

    def entry(self, outputs: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """Phonemes of each word, by the oracle."""
        return {"words": load_vocabulary().pronunciation(next(iter(outputs.values())))}


@dataclass(frozen=True)
class Written:
    """Texts, by the tokenizer of a checkpoint folder."""

    phrases: Sequence[str]
    eos_ids: Sequence[int]
    tokenizer: Tokenizer

    def said(self, ids: Sequence[int]) -> str:
        """The text on one line, with escapes for what cannot be printed."""
        text = self.tokenizer.decode(ids)
        shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)
        return shown or "(nothing)"

    def entry(self, outputs: Mapping[str, Sequence[int]]) -> dict[str, Any]:
        """The text by each strategy."""
        return {"texts": {label: self.tokenizer.decode(ids) for label, ids in outputs.items()}}


def checkpoint_of(folder: str) -> tuple[dict[str, Any], str]:
    """The keys ``model.*`` of a checkpoint folder, whose outputs begin with the language that its ``tgt_lang`` names.

    A folder that forces a token itself, or starts with that language (mBART), keeps to it. The text beside them is a
    note where the model knows languages and is told none; else "". Raises ModelError.
    """
    model = {"name": "checkpoint", "source": "checkpoint", "checkpoint": folder}
    spec = in_language(ModelSpec.of(model))
    begun = {**model, **{name: list(ids) for name, ids in spec.shape}}
    return begun, f"--model {shown(folder)}: {NO_LANGUAGE}" if lacks_language(spec) else ""


def words_of(spec: ModelSpec, phrases: Sequence[str]) -> Words:
    """How to show the outputs of a model. Raises ModelError for a checkpoint folder without a tokenizer."""
    eos_ids = config_of(spec).eos_ids
    if spec.source == "checkpoint":
        return Written(phrases, eos_ids, open_text(str(spec.checkpoint)))
    vocabulary = load_vocabulary()
    spelled = ["".join(vocabulary.tokens[i] for i in vocabulary.spell(phrase)[:-1]) for phrase in phrases]
    return Spoken(spelled, eos_ids)


def until_end(ids: Sequence[int], eos_ids: Sequence[int]) -> tuple[Sequence[int], int | None]:
    """Token ids up to the first that ends an output, and its step from 1; all of them and None where none does.

    >>> until_end([5, 1, 0, 0], [1]), until_end([5, 6], [1])
    (([5, 1], 2), ([5, 6], None))
    """
    end = next((step for step, token in enumerate(ids, 1) if token in eos_ids), None)
    return ids[:end], end
