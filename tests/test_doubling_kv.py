"""The cache in a buffer that doubles: growing moves each row a bounded number of times."""

import pytest
import torch

from strategies import Session, StrategyError, parse

LONG = 200


@pytest.mark.parametrize("first", [1, 3, 16])
def test_growing_copies_fewer_than_two_rows_for_each_row_that_is_held(first):
    facts = parse(f"doubling_kv(first={first})")
    copied = 0
    for k in range(1, LONG + 1):
        copied += facts.rows_copied(k)
        assert copied < 2 * k
        assert k <= facts.rows_reserved(k) <= max(first, 2 * (k - 1))


def test_concatenation_copies_all_rows_at_each_step():
    assert sum(map(parse("contiguous_kv").rows_copied, range(1, LONG + 1))) == LONG * (LONG - 1) // 2


def test_the_buffer_doubles_when_it_is_full_and_is_small_again_for_the_next_batch(tiny_model):
    model = tiny_model("t5")
    session = Session(model, parse("doubling_kv(first=2)"), 1, 4, 9)
    row_bytes = 2 * model.config.kv_inner * model.config.decoder_layers * 4
    for _ in range(2):
        session.prefill(torch.full((1, 4), 2))
        rows = []
        for _ in range(9):
            session.step(torch.full((1,), 3))
            rows.append(session.nbytes.self_reserved // row_bytes)
        assert rows == [2, 2, 4, 4, 8, 8, 8, 8, 16]


def test_a_first_size_below_one_row_is_refused_in_one_line():
    with pytest.raises(StrategyError, match="doubling_kv: first=0 is not allowed; give at least 1 row to double"):
        parse("doubling_kv(first=0)")
