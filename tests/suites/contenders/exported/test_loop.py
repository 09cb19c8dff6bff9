"""The greedy loop around a converted step."""

import numpy as np

from strategies import ModelConfig
from suites.contenders.exported.barred import Barred
from suites.contenders.exported.loop import decode

CONFIG = ModelConfig(
    vocab_size=9, d_model=4, num_heads=1, d_kv=4, d_ff=4, encoder_layers=1, decoder_layers=1, start_id=5,
    prefix_ids=(6, 7), other_eos_ids=(2,), suppress_ids=(3,), begin_suppress_ids=(4,), forced_eos_id=2,
)  # fmt: skip


def barred_ids(stop, length):
    return set(np.flatnonzero(np.isneginf(Barred(CONFIG, 5, stop)(length))).tolist())


def test_the_rules_bar_ids_at_the_first_token_at_each_and_at_the_last():
    assert barred_ids("eos", 1) == {3, 4}
    assert barred_ids("eos", 2) == barred_ids("eos", 4) == {3}
    assert barred_ids("eos", 5) == set(range(9)) - {2}
    assert barred_ids("fixed", 1) == {1, 2, 3, 4}
    assert barred_ids("fixed", 5) == {1, 2, 3}


def decoded(ends):
    """Sentences whose tokens are the rows of ``chosen``: (rows, what each step was fed, number of marks)."""
    chosen = iter([[0, 0], [0, 0], [8, 7], [1, 6], [5, 5], [4, 2], [3, 3]])
    fed, marks = [], []

    def run(token_B1):
        fed.append(token_B1[:, 0].tolist())
        return np.eye(9, dtype=np.float32)[next(chosen)]

    rows = decode(run, CONFIG, Barred(CONFIG, 5, "eos"), 2, 5, lambda: marks.append(0), ends)
    return rows, fed, len(marks)


def test_the_prefix_is_fed_first_and_a_sentence_that_has_ended_padding_until_all_have():
    rows, fed, marks = decoded(ends=True)
    assert rows == [[8, 1], [7, 6, 5, 2]]
    assert fed == [[5, 5], [6, 6], [7, 7], [8, 7], [1, 6], [0, 5]]
    assert marks == 4


def test_a_fixed_length_goes_past_every_end():
    rows, fed, marks = decoded(ends=False)
    assert rows == [[8, 1, 5, 4, 2], [7, 6, 5, 2, 2]]
    assert fed[-1] == [4, 2]
    assert marks == 5
