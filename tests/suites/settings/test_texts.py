"""``src_text=FILE``: sentences as token ids by the model's own tokenizer, a batch of them a cell."""

import dataclasses

import pytest
from transformers import AutoTokenizer

import strategies
from strategies import ModelError, load_vocabulary
from suites.settings.cells import make_cell, make_cells
from suites.settings.config import ConfigError, RunConfig
from suites.settings.obstacles import obstacle
from suites.telling.beforehand import told
from tests.models.text_folders import t5_with_weights

SENTENCES = ["the cat sat", "a dog ran far again", "où est le café"]


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    """Messages cut long paths."""
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def config(tmp_path):
    """The configuration of a T5 folder with a tokenizer, and a file of three sentences, one with a Windows line end."""
    folder = t5_with_weights(tmp_path / "t5")
    (tmp_path / "sentences.txt").write_bytes("\r\n".join(SENTENCES).encode() + b"\n")
    model = {"name": "t5", "source": "checkpoint", "checkpoint": str(folder)}
    return RunConfig(model=model, src_text="sentences.txt", device="cpu")


def test_the_first_sentences_of_a_file_are_the_batch_and_what_is_left_out_is_told(config, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "t5")
    every = tuple(tuple(tokenizer(sentence)["input_ids"]) for sentence in SENTENCES)
    sizes = [dataclasses.replace(config, batch_size=size) for size in (1, 2, 3)]
    for size, cell in enumerate(make_cells(sizes), 1):
        assert (cell.src_ids, cell.batch_size, cell.src_len) == (every[:size], size, max(map(len, every[:size])))
        assert obstacle(cell) == ""
    assert told(sizes[:1]) == [
        "src_text=sentences.txt: the first 1 of 3 sentences is decoded, and 2 left out; batch_size=3 takes all"
    ]
    assert "the first 2 of 3 sentences are decoded, and 1 left out" in told(sizes[1:2])[0]
    assert told(sizes) == told(sizes[2:]) == []


def test_a_text_is_the_cell_that_its_token_ids_are(config, tmp_path):
    config = dataclasses.replace(config, batch_size=3)
    cell = make_cell(config)
    (tmp_path / "ids.txt").write_text("\n".join(" ".join(map(str, row)) for row in cell.src_ids))
    assert make_cell(dataclasses.replace(config, src_text=None, src_ids="ids.txt")) == cell


def test_the_embedded_model_spells_a_text(tmp_path):
    (tmp_path / "phrases").write_text("tea time\nhello\n")
    model = {"name": "pronounce", "source": "pronounce"}
    cell = make_cell(RunConfig(model=model, src_text="phrases", batch_size=2, device="cpu"))
    assert cell.src_ids == tuple(tuple(load_vocabulary().spell(phrase)) for phrase in ("tea time", "hello"))


def test_a_sentence_that_the_model_cannot_read_is_named_by_its_line(config, tmp_path, monkeypatch):
    config = dataclasses.replace(config, batch_size=3)
    usual = strategies.config_of
    with monkeypatch.context() as patch:
        patch.setattr(strategies, "config_of", lambda spec: dataclasses.replace(usual(spec), src_positions=10))
        with pytest.raises(
            ConfigError, match=r"^src_text=sentences\.txt: line 2 has 1\d tokens, beyond the model's 10 "
        ):
            make_cell(config)
    t5_with_weights(tmp_path / "t5", vocab_size=30)
    with pytest.raises(
        ConfigError, match=r"^src_text=sentences\.txt: line 1 holds token \d+, outside the model's vocab"
    ):
        make_cell(config)
    (tmp_path / "t5" / "spiece.model").unlink()
    with pytest.raises(ModelError, match=r"spiece\.model does not exist; T5Tokenizer reads it"):
        make_cell(config)
