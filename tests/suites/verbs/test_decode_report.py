"""What ``decode`` reads of its command line, and what it says of what was decoded."""

import sys

import torch

from strategies import ModelSpec, load_vocabulary
from suites.measuring.divergence import Divergence
from suites.measuring.equality import Agreement
from suites.verbs.decode import read_phrases, split_names
from suites.verbs.decode_report import Decoded, closing_lines, first_difference, output_lines
from suites.verbs.decoded_text import words_of


def test_names_are_split_at_outer_commas():
    assert split_names("grid") == "grid"
    assert split_names("static_kv(capacity=8,read=buffer)") == "static_kv(capacity=8,read=buffer)"
    assert split_names(" cross_kv ,static_kv(capacity=8, read=buffer),") == [
        "cross_kv",
        "static_kv(capacity=8, read=buffer)",
    ]


def test_phrases_of_the_command_line_need_no_standard_input(monkeypatch):
    monkeypatch.setattr(sys, "stdin", None)
    assert read_phrases(["tea", "two words"], None) == ["tea", "two words"]


def test_a_phrase_without_sound_is_told_as_nothing():
    vocabulary = load_vocabulary()
    token_BN = torch.tensor([[vocabulary.id("<eos>"), vocabulary.id("<pad>")]])
    words = words_of(ModelSpec("pronounce", "pronounce"), ["Q"])
    lines = output_lines(words, [Decoded("full_recompute", Agreement(), token_BN, [])], 0, 9)
    assert (words.phrases, lines) == (["q"], ["  (nothing)", "  ended at step 1"])


def test_an_output_of_another_strategy_is_told_with_its_label():
    vocabulary = load_vocabulary()
    words = words_of(ModelSpec("pronounce", "pronounce"), ["tea"])
    both, longer = ([vocabulary.id(token) for token in ("T", *rest)] for rest in (("<eos>", "<pad>"), ("T", "T")))
    tokens = {"full_recompute": both, "static_kv": both, "sliding_kv": longer}
    decoded = [Decoded(label, Agreement(), torch.tensor([ids]), []) for label, ids in tokens.items()]
    assert output_lines(words, decoded, 0, 3) == [
        *("  T", "  ended at step 2"),
        *("  T T T", "  not ended at the limit of 3 steps: sliding_kv"),
    ]


def test_the_earliest_difference_is_found_and_lengths_may_differ():
    oracle_BN = torch.tensor([[5, 6, 7, 1], [5, 6, 1, 0]])
    assert first_difference(oracle_BN, oracle_BN) is None
    assert first_difference(torch.tensor([[5, 6, 8], [5, 9, 1]]), oracle_BN) == (1, 2)


def test_of_an_approximate_strategy_the_lines_say_how_far_it_departs():
    one, other = torch.tensor([[5, 6, 1]]), torch.tensor([[5, 7, 1]])
    far, near = Agreement(divergence=Divergence()), Agreement(divergence=Divergence())
    near.divergence.add(torch.tensor([[1.0, 0.0]]), torch.tensor([[1.0, 0.0]]))
    far.divergence.add(torch.tensor([[0.0, 0.0]]), torch.tensor([[1.0, 4.0]]).log())
    decoded = [
        Decoded("full_recompute", Agreement(), one, []),
        Decoded("harmless_kv", near, one, []),
        Decoded("lossy_kv", far, other, []),
    ]
    assert closing_lines(decoded) == [
        "harmless_kv is approximate: 100 % of 1 choice equal, KL 0 nats per step, equal output",
        "lossy_kv is approximate: 0 % of 1 choice equal, KL 0.22 nats per step, its output differs first in phrase 1 "
        "at step 2",
    ]


def test_a_tie_that_was_broken_otherwise_is_told_and_is_no_disagreement():
    one, other = torch.tensor([[5, 6, 1]]), torch.tensor([[5, 7, 1]])
    decoded = [Decoded("full_recompute", Agreement(), one, []), Decoded("static_kv", Agreement(1e-6), other, [])]
    tie, agreed = closing_lines(decoded)
    assert tie.startswith("static_kv chose otherwise in phrase 1 at step 2")
    assert agreed.startswith("all 2 strategies agree")
