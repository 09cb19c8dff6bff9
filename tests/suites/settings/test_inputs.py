"""Sources: real phrases that fill what they are given, the same for the same seed."""

import dataclasses

import pytest
import torch

from strategies import ModelConfig, ModelSpec, config_of, load_vocabulary
from strategies.models.pronounce.data import held_out
from suites.settings.cells import Cell, make_cell
from suites.settings.config import ConfigError, RunConfig
from suites.settings.inputs import make_inputs
from suites.settings.obstacles import require_possible

PRONOUNCE = Cell(
    ModelSpec("pronounce", "pronounce"),
    src_len=32,
    tgt_len=8,
    batch_size=4,
    device="cpu",
    dtype="fp32",
    threads=1,
    seed=0,
    stop="fixed",
)
RANDOM = dataclasses.replace(PRONOUNCE, model=ModelSpec("tiny", "random"))
CONFIG = config_of(PRONOUNCE.model)


@pytest.mark.parametrize("src_len", [2, 3, 5, 8, 16, 64, 256])
def test_sources_are_held_out_words_that_fit(src_len):
    vocabulary, words = load_vocabulary(), held_out()
    inputs = make_inputs(dataclasses.replace(PRONOUNCE, src_len=src_len), CONFIG)
    assert inputs.source.shape == (4, src_len)
    for row, length in zip(inputs.source.tolist(), inputs.src_lens, strict=True):
        assert length <= src_len
        assert set(row[length:]) <= {CONFIG.pad_id}
        *letters, end = row[:length]
        assert vocabulary.tokens[end] == "<eos>"
        assert all(word in words for word in "".join(vocabulary.tokens[i] for i in letters).split(" "))


@pytest.mark.parametrize("src_len", [2, 5, 16, 64, 256])
def test_the_mask_marks_the_real_tokens_and_their_share_is_told(src_len):
    inputs = make_inputs(dataclasses.replace(PRONOUNCE, src_len=src_len), CONFIG)
    assert inputs.real_fraction == sum(inputs.src_lens) / (4 * src_len)
    if inputs.src_mask_BS is None:
        assert inputs.src_lens == (src_len,) * 4
    else:
        assert inputs.src_mask_BS.dtype == torch.bool
        assert torch.equal(inputs.src_mask_BS, torch.arange(src_len) < torch.tensor(inputs.src_lens)[:, None])
        assert not inputs.src_mask_BS.all()


def test_long_sources_are_nearly_full():
    assert make_inputs(dataclasses.replace(PRONOUNCE, src_len=256), CONFIG).real_fraction > 0.97


@pytest.mark.parametrize("cell", [PRONOUNCE, RANDOM], ids=lambda cell: cell.model.name)
def test_the_seed_decides_the_sources(cell):
    first, again = make_inputs(cell, CONFIG), make_inputs(cell, CONFIG)
    assert torch.equal(first.source, again.source)
    assert first.src_lens == again.src_lens
    other = make_inputs(dataclasses.replace(cell, seed=1), CONFIG)
    assert not torch.equal(first.source, other.source)


@pytest.mark.parametrize("cell", [PRONOUNCE, RANDOM], ids=lambda cell: cell.model.name)
def test_rows_of_a_batch_differ(cell):
    assert len(make_inputs(cell, CONFIG).source.unique(dim=0)) == cell.batch_size


def test_what_is_decoded_does_not_depend_on_how_it_is_measured():
    other = dataclasses.replace(PRONOUNCE, tgt_len=99, dtype="bf16", threads=2, stop="eos")
    assert torch.equal(make_inputs(PRONOUNCE, CONFIG).source, make_inputs(other, CONFIG).source)


@pytest.mark.parametrize("vocab_size", [4, 50])
def test_a_model_without_a_vocabulary_gets_ids_in_range_and_no_mask(vocab_size):
    config = ModelConfig(
        vocab_size=vocab_size, d_model=4, num_heads=1, d_kv=4, d_ff=8, encoder_layers=1, decoder_layers=1
    )
    inputs = make_inputs(dataclasses.replace(RANDOM, src_len=500), config)
    special = {config.pad_id, config.eos_id, config.start_id}
    assert set(inputs.source.unique().tolist()) == set(range(max(special) + 1, vocab_size))
    assert inputs.src_mask_BS is None
    assert inputs.src_lens == (500,) * 4
    assert inputs.real_fraction == 1.0


def test_random_ids_of_a_model_that_starts_with_a_high_id_are_all_that_are_not_special():
    config = ModelConfig(50, 4, 1, 4, 8, 1, 1, pad_id=1, eos_id=2, start_id=45)
    inputs = make_inputs(dataclasses.replace(RANDOM, src_len=500), config)
    assert set(inputs.source.unique().tolist()) == {*range(50)} - {1, 2, 45}


def test_a_source_too_short_for_a_word_is_refused_in_one_line():
    model = {"name": "pronounce", "source": "pronounce"}
    require_possible(make_cell(RunConfig(model=model, src_len=2, device="cpu")))
    with pytest.raises(ConfigError, match=r"^src_len=1 holds no word; give at least 2: .*$"):
        require_possible(make_cell(RunConfig(model=model, src_len=1, device="cpu")))
