"""``src_text=FILE``: sentences as token ids by the model's own tokenizer, a batch of them a cell."""

import dataclasses

import pytest
from transformers import AutoTokenizer

import strategies
from strategies import ModelError, load_vocabulary
from suites.jobs.planned import planned
from suites.settings import texts
from suites.settings.cells import make_cell, make_cells
from suites.settings.config import ConfigError, RunConfig
from suites.settings.obstacles import obstacle
from suites.settings.overrides import compose_jobs, read_overrides
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


def test_a_file_is_cut_into_batches_each_of_which_is_a_cell(config, tmp_path):
    tokenizer = AutoTokenizer.from_pretrained(tmp_path / "t5")
    every = tuple(tuple(tokenizer(sentence)["input_ids"]) for sentence in SENTENCES)
    sizes = [dataclasses.replace(config, batch_size=size) for size in (1, 2, 3)]
    for size, cells in enumerate(make_cells(sizes), 1):
        assert tuple(row for cell in cells for row in cell.src_ids) == every
        assert [cell.first_sentence for cell in cells] == [*range(1, len(SENTENCES) + 1, size)]
        for cell in cells:
            assert (cell.batch_size, cell.src_len) == (len(cell.src_ids), max(map(len, cell.src_ids)))
            assert obstacle(cell) == ""
        assert [cell.batch_size for cell in cells[:-1]] == [size] * (len(cells) - 1)
    assert told(sizes[1:], measures=False) == ["src_text=sentences.txt: the first 2 of 3 sentences are taken"]
    assert told(sizes) == [
        "src_text=sentences.txt: the 3 sentences are 3 batches of 1, and each batch is a cell",
        "src_text=sentences.txt: the 3 sentences are 2 batches of 2, the last of 1, and each batch is a cell",
    ]
    with pytest.raises(ConfigError, match=r"^batch_size=4 is more than the 3 sentences of src_text=sent.*at most 3$"):
        make_cell(dataclasses.replace(config, batch_size=4))


def plan_of(config, *given):
    own = ["model=checkpoint", f"model.checkpoint={config.model['checkpoint']}", "device=cpu", "threads=1"]
    return planned(compose_jobs(read_overrides([*own, *given])))


def test_a_last_batch_that_two_sizes_share_is_planned_once_and_each_cell_knows_its_job(config):
    plan = plan_of(config, "src_text=sentences.txt", "batch_size=1,2")
    assert [(one.cell.first_sentence, one.cell.batch_size) for one in plan] == [(1, 1), (2, 1), (3, 1), (1, 2)]
    jobs = [one.frozen().get("job", place) for place, one in enumerate(plan)]
    assert jobs == [0, 0, 0, 1]


def test_a_file_is_refused_twice_in_a_run_and_so_is_another(config, tmp_path):
    (tmp_path / "more.txt").write_text("the cat sat\n")
    with pytest.raises(ConfigError, match=r"^two jobs of this sweep would measure the same cell"):
        plan_of(config, "src_text=sentences.txt", "batch_size=2,2")
    with pytest.raises(
        ConfigError,
        match=r"^src_text=sentences.txt,more.txt are 2 files, of which a run takes one; run each on its own$",
    ):
        plan_of(config, "src_text=sentences.txt,more.txt")


def test_batches_of_equal_sentences_are_cells_of_their_own(config, tmp_path):
    (tmp_path / "sentences.txt").write_text("the cat sat\n" * 3)
    ((one, two, three),) = make_cells([config])
    assert one.src_ids == two.src_ids == three.src_ids
    assert len({one.id, two.id, three.id}) == 3
    assert "batch 1, sentence 2, " in two.title


def test_a_text_is_decoded_from_its_token_ids(config, tmp_path):
    config = dataclasses.replace(config, batch_size=3)
    cell = make_cell(config)
    (tmp_path / "ids.txt").write_text("\n".join(" ".join(map(str, row)) for row in cell.src_ids))
    ids = make_cell(dataclasses.replace(config, src_text=None, src_ids="ids.txt"))
    assert dataclasses.replace(ids, first_sentence=1) == cell


def test_outputs_begin_with_the_language_of_the_folder_unless_the_user_settles_it(config, tmp_path, monkeypatch):
    monkeypatch.setattr(texts, "unforced_language", lambda spec: 7)
    config = dataclasses.replace(config, batch_size=3)
    assert dict(make_cell(config).model.shape) == {"prefix_ids": (7,)}
    assert "outputs begin with the folder's tgt_lang, token 7, as by model.prefix_ids=[7]" in told([config])[0]
    for own in ([], [5]):
        settled = dataclasses.replace(config, model={**config.model, "prefix_ids": own})
        assert dict(make_cell(settled).model.shape) == {"prefix_ids": tuple(own)}
        assert told([settled]) == []
    (tmp_path / "ids.txt").write_text("5 6\n")
    assert make_cell(dataclasses.replace(config, src_text=None, batch_size=1, src_ids="ids.txt")).model.shape == ()


def test_the_embedded_model_spells_a_text(tmp_path):
    (tmp_path / "phrases").write_text("tea time\nhello\n")
    model = {"name": "pronounce", "source": "pronounce"}
    cell = make_cell(RunConfig(model=model, src_text="phrases", batch_size=2, device="cpu"))
    assert cell.src_ids == tuple(tuple(load_vocabulary().spell(phrase)) for phrase in ("tea time", "hello"))


@pytest.mark.parametrize("line", ["<pad><pad>", "</s>", "\u200b"])
def test_a_sentence_of_special_tokens_alone_is_named_by_its_line(config, tmp_path, line):
    (tmp_path / "sentences.txt").write_text(f"the <pad> cat\n{line}\n", encoding="utf-8")
    with pytest.raises(ConfigError, match=r": line 2 has special tokens alone, of ids (0, )?1; write a sentence$"):
        make_cell(dataclasses.replace(config, batch_size=2))


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
