"""``python -m suites decode --model DIR``: texts of a checkpoint's own tokenizer, in and out."""

import json
import shutil

import pytest
import torch
from transformers import AutoTokenizer, M2M100Config, M2M100ForConditionalGeneration, T5ForConditionalGeneration

from suites.__main__ import main
from suites.settings.config import RunConfig
from suites.telling.beforehand import of_language
from suites.verbs.decoded_text import checkpoint_of
from tests.models.text_folders import m2m100, t5_with_weights

TEXTS = ["the cat sat", "où est le café"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return t5_with_weights(tmp_path_factory.mktemp("checkpoint") / "t5")


@pytest.fixture(scope="module")
def expected(folder):
    """The texts that transformers decodes, of at most 6 tokens."""
    model, tokenizer = T5ForConditionalGeneration.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    given = tokenizer(TEXTS, return_tensors="pt", padding=True)
    with torch.no_grad():
        token_BN = model.generate(**given, max_new_tokens=6, do_sample=False, num_beams=1)
    texts = tokenizer.batch_decode(token_BN, skip_special_tokens=True)
    assert len(set(texts)) == len(TEXTS), "sources that give equal outputs show little"
    return texts


def decode(*arguments):
    return main(["decode", "--threads", "1", "--device", "cpu", "--max-new", "6", *map(str, arguments)])


def test_the_output_text_is_that_of_transformers_and_every_strategy_agrees(folder, expected, capsys):
    assert decode("--model", folder, *TEXTS) == 0
    out = capsys.readouterr().out
    blocks = out.split("\n\n")
    for text, said, block in zip(TEXTS, expected, blocks, strict=False):
        assert block.splitlines()[:2] == [text, f"  {said}"]
        assert len(block.splitlines()) == 3, "one output, that of all strategies"
    assert "all 4 strategies agree" in out


def test_the_json_has_the_text_by_each_strategy(folder, expected, capsys):
    assert decode("--model", folder, "--json", "--strategies", "static_kv,sliding_kv(window=1)", *TEXTS) == 0
    data = json.loads(capsys.readouterr().out)
    labels = ["full_recompute", "static_kv", "sliding_kv(window=1)"]
    assert [one["strategy"] for one in data["strategies"]] == labels
    for text, said, entry in zip(TEXTS, expected, data["phrases"], strict=True):
        assert (entry["phrase"], list(entry["texts"])) == (text, labels)
        assert entry["texts"]["full_recompute"] == entry["texts"]["static_kv"] == said


def test_a_folder_that_cannot_serve_gets_one_line(folder, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folder, "bare")
    (tmp_path / "bare" / "spiece.model").unlink()
    t5_with_weights(tmp_path / "small", vocab_size=20)
    for name, told in (
        ("bare", "spiece.model does not exist; T5Tokenizer reads it"),
        ("small", "decode: text 1 holds token 50, outside the model's vocabulary of 20"),
        ("nowhere", "model.checkpoint=nowhere is not a folder"),
    ):
        assert decode("--model", name, "the cat tab") == 1
        out, err = capsys.readouterr()
        assert (out, err.count("\n")) == ("", 1)
        assert told in err


def test_settings_of_the_folder_that_are_not_followed_are_told(folder, tmp_path, capsys):
    shutil.copytree(folder, tmp_path / "t5")
    (tmp_path / "t5" / "generation_config.json").write_text('{"num_beams": 4, "eos_token_id": 1, "pad_token_id": 0}')
    assert decode("--model", tmp_path / "t5", "--strategies", "static_kv", "the cat") == 0
    assert "asks for num_beams=4, which is not followed here" in capsys.readouterr().err


def test_a_translation_begins_with_the_language_that_the_folder_names(tmp_path, capsys):
    """M2M100, which is told the target language by its token; the tokenizer's files name one as ``tgt_lang``."""
    tokenizer_folder = m2m100(tmp_path / "words")
    tokenizer = AutoTokenizer.from_pretrained(tokenizer_folder)
    torch.manual_seed(0)
    sizes = {"encoder_layers": 2, "decoder_layers": 2, "encoder_ffn_dim": 32, "decoder_ffn_dim": 32, "d_model": 16}
    heads = {"encoder_attention_heads": 2, "decoder_attention_heads": 2}
    config = M2M100Config(vocab_size=len(tokenizer), max_position_embeddings=40, init_std=1.0, **sizes, **heads)
    model = M2M100ForConditionalGeneration(config).eval()
    model.save_pretrained(tmp_path / "m2m100")
    shutil.copytree(tokenizer_folder, tmp_path / "m2m100", dirs_exist_ok=True, ignore=lambda *_: ["config.json"])
    given = tokenizer(TEXTS, return_tensors="pt", padding=True)
    german = tokenizer.get_lang_id("de")
    with torch.no_grad():
        token_BN = model.generate(**given, max_new_tokens=7, num_beams=1, forced_bos_token_id=german)
    assert (token_BN[:, 1] == german).all()
    assert decode("--model", tmp_path / "m2m100", "--json", "--strategies", "static_kv", *TEXTS) == 0
    said = [entry["texts"]["static_kv"] for entry in json.loads(capsys.readouterr().out)["phrases"]]
    assert said == tokenizer.batch_decode(token_BN, skip_special_tokens=True)
    assert any(said), "empty texts show nothing"
    asked = {"name": "checkpoint", "source": "checkpoint", "checkpoint": str(tmp_path / "m2m100")}
    (note,) = of_language(RunConfig(model=asked, src_text="sentences.txt"))
    assert note.endswith(f"begin with the folder's tgt_lang, token {german}, as by model.prefix_ids=[{german}]")
    assert list(of_language(RunConfig(model=asked | {"prefix_ids": [german]}, src_text="sentences.txt"))) == []

    change(tmp_path / "m2m100" / "generation_config.json", decoder_start_token_id=german)
    model, note = checkpoint_of(str(tmp_path / "m2m100"))
    assert ("prefix_ids" in model, note) == (False, ""), "the start token is the language, as in mBART"
    change(tmp_path / "m2m100" / "tokenizer_config.json", tgt_lang=None)
    assert checkpoint_of(str(tmp_path / "m2m100"))[1] == ""
    assert list(of_language(RunConfig(model=asked, src_text="sentences.txt"))) == []
    change(tmp_path / "m2m100" / "generation_config.json", decoder_start_token_id=2)
    assert decode("--model", tmp_path / "m2m100", "--strategies", "static_kv", *TEXTS) == 0
    assert "no language of the outputs is named" in capsys.readouterr().err
    (note,) = of_language(RunConfig(model=asked, src_text="sentences.txt"))
    assert note.startswith("src_text=sentences.txt: no language of the outputs is named, so they begin with the start ")


def change(path, **changes):
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
