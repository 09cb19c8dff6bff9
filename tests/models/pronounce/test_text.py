"""Spelling and phonemes as ids."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import TextError, load_vocabulary
from strategies.models.pronounce import model_config
from strategies.models.pronounce.text import EOS, LETTERS, PAD, SPACE, START

VOCABULARY = load_vocabulary()
PHONEMES = [token for token in VOCABULARY.tokens if token not in (PAD, EOS, START, SPACE, *LETTERS)]


def test_special_tokens_have_the_ids_that_the_model_is_configured_with():
    config = model_config()
    assert [VOCABULARY.id(token) for token in (PAD, EOS, START)] == [config.pad_id, config.eos_id, config.start_id]
    assert len(VOCABULARY) == config.vocab_size


def test_every_token_has_one_id():
    assert [VOCABULARY.id(token) for token in VOCABULARY.tokens] == list(range(len(VOCABULARY)))


def test_there_are_39_phonemes_and_each_of_15_vowels_has_three_stresses():
    stressed = [phoneme for phoneme in PHONEMES if phoneme[-1] in "012"]
    assert len(stressed) == 15 * 3
    assert len(PHONEMES) == 39 - 15 + 15 * 3


def test_spelling_is_letters_spaces_and_the_end():
    ids = VOCABULARY.spell("tea time")
    assert [VOCABULARY.tokens[i] for i in ids] == ["t", "e", "a", " ", "t", "i", "m", "e", EOS]


@pytest.mark.parametrize("written", ["It's  TIME", " it's\ttime\n", "it\N{RIGHT SINGLE QUOTATION MARK}s time"])
def test_case_white_space_and_curly_apostrophes_do_not_matter(written):
    assert VOCABULARY.spell(written) == VOCABULARY.spell("it's time")


@pytest.mark.parametrize(("phrase", "named"), [("route 66", "'6'"), ("naïve", "'ï'"), ("a-b, c", "',', '-'")])
def test_what_cannot_be_spelt_is_named_with_the_phrase(phrase, named):
    with pytest.raises(TextError) as caught:
        VOCABULARY.spell(phrase)
    assert f"cannot spell {named} in {phrase!r}; allowed: the letters a to z" in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("phrase", ["", "  \n\t"])
def test_an_empty_phrase_is_refused(phrase):
    with pytest.raises(TextError, match="empty phrase"):
        VOCABULARY.spell(phrase)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.lists(st.sampled_from(PHONEMES), min_size=1), min_size=1))
def test_pronunciation_undoes_phonemes(words):
    assert VOCABULARY.pronunciation(VOCABULARY.phonemes(words)) == words


def test_pronunciation_ends_at_the_first_end_and_skips_padding():
    ids = [VOCABULARY.id(token) for token in (START, "T", "IY1", EOS, PAD, "T", EOS)]
    assert VOCABULARY.pronunciation(ids) == [["T", "IY1"]]


def test_a_doubled_space_is_a_word_of_nothing_and_letters_stay_as_written():
    ids = [VOCABULARY.id(token) for token in ("T", SPACE, SPACE, "t", EOS)]
    assert VOCABULARY.pronunciation(ids) == [["T"], [], ["t"]]
