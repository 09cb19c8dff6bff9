"""What each family's tokenizer is made of, as data for the library ``tokenizers``.

Each function reads the folder's own settings, where transformers lets a folder change what is usual.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from .folder import TextFolder
from .languages import MBART, MBART50, NLLB

Scored = list[tuple[str, float]]
Around = tuple[list[str], list[str]]
"""Special tokens before a source and after it."""


def _none(folder: TextFolder) -> list[str]:
    return []


def _eos(folder: TextFolder) -> Around:
    return [], [folder.token("eos_token", "</s>")]


def sentinels(folder: TextFolder) -> list[str]:
    """T5's sentinels, in the order of their ids, which is from the last to the first."""
    return [f"<extra_id_{number}>" for number in reversed(range(folder.number("extra_ids", 100)))]


def _pegasus_first(folder: TextFolder) -> Scored:
    masks = [folder.token("mask_token_sent", "<mask_1>"), folder.token("mask_token", "<mask_2>")]
    first = [folder.token("pad_token", "<pad>"), folder.token("eos_token", "</s>"), *masks]
    return [*((token, 0.0) for token in first), *((token, -100.0) for token in _pegasus_reserved(folder))]


def _pegasus_reserved(folder: TextFolder) -> list[str]:
    return [f"<unk_{number}>" for number in range(2, folder.number("offset", 103))]


def _fairseq_first(folder: TextFolder) -> Scored:
    usual = {"bos_token": "<s>", "pad_token": "<pad>", "eos_token": "</s>", "unk_token": "<unk>"}
    return [(folder.token(name, token), 0.0) for name, token in usual.items()]


def _languages_after(folder: TextFolder) -> Around:
    return [], [folder.token("eos_token", "</s>"), str(folder.language("src_lang", MBART, "en_XX"))]


def _mbart50_around(folder: TextFolder) -> Around:
    return [str(folder.language("src_lang", MBART50, "en_XX"))], [folder.token("eos_token", "</s>")]


def _nllb_around(folder: TextFolder) -> Around:
    language, eos = str(folder.language("src_lang", NLLB, "eng_Latn")), folder.token("eos_token", "</s>")
    return ([], [eos, language]) if folder.settings.get("legacy_behaviour") is True else ([language], [eos])


def _bart_around(folder: TextFolder) -> Around:
    return [folder.token("cls_token", "<s>")], [folder.token("sep_token", "</s>")]


@dataclass(frozen=True)
class Family:
    """The rules of one class of tokenizers.

    ``file``: the model of pieces, or "" for vocab.json and merges.txt. ``kind``: how it splits a word. ``first``
    replaces the first ``dropped`` pieces of the file, and ``last`` follows its pieces. ``splits_words``: whether spaces
    are removed before pieces are found, also at the end. ``normalizes`` says whether the rules in the file are applied,
    and ``single_spaces`` whether several spaces become one. ``around``: special tokens of a source, None where the
    sources are no texts. ``languages``: what ``tgt_lang`` may name.
    """

    around: Callable[[TextFolder], Around] | None
    file: str = ""
    kind: Literal["unigram", "bpe", "bytes"] = "unigram"
    first: Callable[[TextFolder], Scored] = lambda folder: []
    dropped: int = 0
    last: Callable[[TextFolder], list[str]] = _none
    reserved: Callable[[TextFolder], list[str]] = _none
    splits_words: bool = False
    normalizes: bool = True
    single_spaces: bool = False
    languages: tuple[str, ...] = ()
    named: tuple[tuple[str, str], ...] = (("eos_token", "</s>"), ("unk_token", "<unk>"), ("pad_token", "<pad>"))


_FAIRSEQ = (
    *Family.named,
    ("bos_token", "<s>"),
    ("cls_token", "<s>"),
    ("sep_token", "</s>"),
    ("mask_token", "<mask>"),
)
_END = "<|endoftext|>"

FAMILIES = {
    "T5Tokenizer": Family(_eos, "spiece.model", last=sentinels, splits_words=True),
    "PegasusTokenizer": Family(
        _eos,
        "spiece.model",
        first=_pegasus_first,
        dropped=2,
        reserved=_pegasus_reserved,
        single_spaces=True,
        named=(*Family.named, ("mask_token", "<mask_2>"), ("mask_token_sent", "<mask_1>")),
    ),
    "MBartTokenizer": Family(
        _languages_after,
        "sentencepiece.bpe.model",
        first=_fairseq_first,
        dropped=3,
        last=lambda folder: [*MBART, folder.token("mask_token", "<mask>")],
        splits_words=True,
        normalizes=False,
        languages=MBART,
        named=_FAIRSEQ,
    ),
    "MBart50Tokenizer": Family(
        _mbart50_around,
        "sentencepiece.bpe.model",
        first=_fairseq_first,
        dropped=3,
        last=lambda folder: [*MBART50, folder.token("mask_token", "<mask>")],
        single_spaces=True,
        languages=MBART50,
        named=_FAIRSEQ,
    ),
    "NllbTokenizer": Family(
        _nllb_around,
        "sentencepiece.bpe.model",
        "bpe",
        first=_fairseq_first,
        dropped=3,
        last=lambda folder: [*NLLB, folder.token("mask_token", "<mask>")],
        single_spaces=True,
        languages=NLLB,
        named=_FAIRSEQ,
    ),
    "BartTokenizer": Family(_bart_around, kind="bytes", named=_FAIRSEQ),
    "WhisperTokenizer": Family(
        None, kind="bytes", named=(("eos_token", _END), ("unk_token", _END), ("bos_token", _END))
    ),
}
"""Class of transformers -> its rules, which are those of transformers 5.24, what it leaves out included."""
