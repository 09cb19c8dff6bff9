"""Texts to token ids and back: equal to transformers' AutoTokenizer for each family, or refused by name."""

import json
import random
import sys

import pytest
from transformers import AutoTokenizer, T5Tokenizer

from strategies import ModelError
from strategies.models.checkpoints.texts import open_text
from strategies.models.checkpoints.texts.families import FAMILIES as FAMILIES_READ
from strategies.models.checkpoints.texts.folder import BY_MODEL_TYPE
from strategies.models.checkpoints.texts.opening import OWN
from tests.command import ROOT
from tests.models import text_folders
from tests.models.text_folders import FAMILIES, LINES, WHISPER, save_beside, t5, trained, write

ODD = [
    *("the cat", "", " ", "  the   cat  ", "the\ncat", "a\n\nb\n", "tab\there", "a\u00a0b\u200bc", "▁the"),
    *("où déjà \uff46\uff55ll\u2026", "ﬁ x² ½ e\u0301", "zq☃☃🙂 x", "A dog ran. Isn't it ?"),
    *("</s> a <extra_id_0>b", "the  <extra_id_7>  cat", "the <mask> cat", "a <unk> b", "<s> cat", "<pad>cat"),
    *(">>fra<< the cat", "__fr__ the", "en_XX the", "fra_Latn the"),
]


def reference(folder):
    """Transformers' tokenizer; its AutoTokenizer finds no spiece.model of a UMT5, whose class on the hub is T5's."""
    umt5 = "umt5" in (folder / "config.json").read_text() and not (folder / "tokenizer.json").exists()
    return (T5Tokenizer if umt5 else AutoTokenizer).from_pretrained(folder)


def assert_equal(folder, theirs):
    ours = open_text(folder)
    draw = random.Random(0)
    every = [theirs(text)["input_ids"] for text in ODD]
    if theirs.__class__.__name__ != "WhisperTokenizer":
        assert [ours.encode(text) for text in ODD] == every
    # A Marian may have a vocabulary of its own for targets, whose <pad>, the last, transformers does not leave out.
    targets = len(theirs.target_encoder) - 1 if getattr(theirs, "separate_vocabs", False) else len(theirs)
    every = [[number for number in ids if number < targets] for ids in every]
    every += [[draw.randrange(targets) for _ in range(12)] for _ in range(20)]
    beyond = [targets, targets + 9]  # ids of a vocabulary that was padded
    if theirs.__class__.__name__ in ("ByT5Tokenizer", "MarianTokenizer"):  # which raise an error
        assert [ours.decode(beyond + ids + beyond) for ids in every] == [ours.decode(ids) for ids in every]
    else:
        every += [[*beyond, *ids, beyond[0]] for ids in every]
    assert [ours.decode(ids) for ids in every] == [theirs.decode(ids, skip_special_tokens=True) for ids in every]
    if getattr(theirs, "tgt_lang", None) and hasattr(theirs, "get_lang_id"):
        assert ours.target_language_id == theirs.get_lang_id(theirs.tgt_lang)
    elif getattr(theirs, "tgt_lang", None):
        assert ours.target_language_id == theirs.convert_tokens_to_ids(theirs.tgt_lang)
    else:
        assert ours.target_language_id is None
    assert ours.target_language_id is None or ours.target_language_id in ours.language_ids


@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
@pytest.mark.filterwarnings("ignore:This sequence already has")
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_ids_and_texts_are_those_of_transformers_with_and_without_tokenizer_json(family, tmp_path):
    folder = family(tmp_path / "own")
    theirs = reference(folder)
    assert_equal(folder, theirs)
    saved = save_beside(folder, theirs)
    assert_equal(saved, reference(saved))


@pytest.mark.parametrize(
    ("model_type", "settings"),
    [("t5", {}), ("t5", {"tokenizer_class": "T5TokenizerFast"}), ("t5", {"tokenizer_class": "PreTrainedTokenizerFast"}),
     ("umt5", {"tokenizer_class": "T5Tokenizer"})],
)  # fmt: skip
def test_eos_is_added_to_a_tokenizer_json_without_it_where_transformers_does(model_type, settings, tmp_path):
    saved = save_beside(t5(tmp_path / "own"), reference(tmp_path / "own"))
    content = json.loads((saved / "tokenizer.json").read_text()) | {"post_processor": None}
    (saved / "tokenizer_config.json").unlink()
    write(saved, model_type, {"tokenizer.json": content}, **settings)
    assert_equal(saved, reference(saved))
    family = model_type == "t5" and settings != {"tokenizer_class": "PreTrainedTokenizerFast"}
    assert (open_text(saved).encode("the cat")[-1] == 1) == family


@pytest.mark.parametrize("family", [t5, text_folders.bart, text_folders.marian], ids=lambda family: family.__name__)
@pytest.mark.filterwarnings("ignore:Recommended. pip install sacremoses")
def test_spaces_before_punctuation_are_closed_where_the_folder_asks_for_it(family, tmp_path):
    folder = write(family(tmp_path / "own"), family.__name__, {}, clean_up_tokenization_spaces=True)
    assert_equal(folder, reference(folder))


def test_languages_of_nllb_follow_its_pieces_as_in_the_published_vocabularies(tmp_path):
    folder = text_folders.nllb(tmp_path / "own")
    stated = open_text(folder).encode("the cat")
    write(folder, "m2m_100", {}, tokenizer_class="NllbTokenizer", src_lang="fra_Latn")
    assert open_text(folder).encode("the cat") == stated


def test_whisper_decodes_without_prompt_earlier_text_and_timestamps(tmp_path):
    folder = text_folders.whisper(tmp_path / "own")
    ours, theirs = open_text(folder), reference(folder)
    ids = {token: theirs.convert_tokens_to_ids(token) for token in WHISPER}
    said, earlier = (theirs(text, add_special_tokens=False)["input_ids"] for text in (LINES[0], LINES[1]))
    start = [ids[token] for token in ("<|startoftranscript|>", "<|en|>", "<|transcribe|>", "<|0.00|>")]
    whole = [*start, *said, ids["<|0.02|>"], ids["<|endoftext|>"]]
    assert ours.decode(whole) == theirs.decode(whole, skip_special_tokens=True) == LINES[0]
    assert ours.decode([ids["<|startofprev|>"], *earlier, *whole]) == LINES[0]
    assert ours.decode([ids["<|startofprev|>"], *earlier]) == ours.decode([]) == ""
    with pytest.raises(ModelError, match="reads features of sound, not texts"):
        ours.encode("a text")


def test_a_token_is_shown_as_its_vocabulary_spells_it(tmp_path):
    for family, token_id, word in ((t5, 1, "</s>"), (text_folders.byt5, 100, "a"), (text_folders.marian, 0, "</s>")):
        assert open_text(family(tmp_path / family.__name__)).word(token_id) == word
    ours = open_text(text_folders.m2m100(tmp_path / "m2m100"))
    assert [ours.word(number) for number in ours.encode("")] == ["__fr__", "</s>"]


def without(family, name):
    def made(folder):
        (family(folder) / name).unlink()
        return folder

    return made


REFUSED = {
    "no spiece.model": (without(t5, "spiece.model"), r"spiece\.model does not exist; T5Tokenizer reads it"),
    "no target.spm": (without(text_folders.marian, "target.spm"), r"target\.spm does not exist"),
    "no vocab.json": (without(text_folders.m2m100, "vocab.json"), r"vocab\.json does not exist"),
    "no merges.txt": (without(text_folders.bart, "merges.txt"), r"merges\.txt does not exist"),
    "no config.json": (without(t5, "config.json"), r"config\.json does not exist"),
    "no class of a model type": (lambda f: write(f, "pegasus_x", {}), "'pegasus_x' has no tokenizer here; known: t5"),
    "a class that is not read": (
        lambda f: write(f, "t5", {}, tokenizer_class="LlamaTokenizerFast"),
        "LlamaTokenizer is not supported; known: BartTokenizer",
    ),
    "no tokenizer.json": (
        lambda f: write(f, "t5", {"spiece.model": trained()}, tokenizer_class="PreTrainedTokenizerFast"),
        r"holds no tokenizer\.json, the one file of its tokenizer",
    ),
    "no sentencepiece model": (lambda f: write(f, "t5", {"spiece.model": b"no model"}), "is no sentencepiece model"),
    "an empty one": (lambda f: write(f, "t5", {"spiece.model": b""}), "is no sentencepiece model"),
    "no model of a source": (
        lambda f: write(text_folders.marian(f), "marian", {"source.spm": b"no model"}),
        r"source\.spm is no sentencepiece model",
    ),
    "no tokenizers file": (lambda f: write(f, "t5", {"tokenizer.json": {}}), "is no file of the library tokenizers"),
    "no vocabulary": (
        lambda f: write(text_folders.m2m100(f), "m2m_100", {"vocab.json": {"a": "b"}}),
        r"vocab\.json does not map pieces to ids",
    ),
    "no EOS in it": (
        lambda f: write(text_folders.marian(f), "marian", {"vocab.json": {"<unk>": 0, "<pad>": 1}}),
        r"vocab\.json holds no token </s>",
    ),
    "an unknown language": (
        lambda f: write(text_folders.mbart(f), "mbart", {}, src_lang="eng_Latn"),
        "src_lang='eng_Latn' is no language of MBartTokenizer; known: ar_AR, cs_CZ",
    ),
    "no count": (lambda f: write(t5(f), "t5", {}, extra_ids="many"), "extra_ids='many' is not allowed"),
    "an id that cannot be": (
        lambda f: write(t5(f), "t5", {}, added_tokens_decoder=text_folders.added(["<new>"], 999)),
        "the added token <new> is to be 999",
    ),
    "no added tokens": (lambda f: write(t5(f), "t5", {}, added_tokens_decoder=3), "added tokens of its tokenizer"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_folder_without_a_tokenizer_says_why_in_one_line(case, tmp_path):
    make, why = REFUSED[case]
    with pytest.raises(ModelError, match=why) as raised:
        open_text(make(tmp_path / "own"))
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("name", ["tokenizers", "sentencepiece", "google.protobuf"])
def test_a_missing_package_is_named_with_the_command_that_installs_it(name, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, name, None)
    monkeypatch.delitem(sys.modules, "sentencepiece.sentencepiece_model_pb2", raising=False)
    with pytest.raises(ModelError, match=rf"package {name}; pip install 'decodebench\[text\]'"):
        open_text(t5(tmp_path / "own"))
    assert open_text(text_folders.byt5(tmp_path / "bytes")).encode("a") == [100, 1]


def test_the_page_on_texts_names_every_tokenizer_that_is_read():
    page = (ROOT / "docs" / "texts.md").read_text()
    assert {name for name in (*FAMILIES_READ, *OWN, *BY_MODEL_TYPE.values()) if f"`{name}`" not in page} == set()
