"""The ledger by formula equals the ledger that is recorded from the running model, row for row."""

import pandas as pd
import pytest

from strategies import ModelSpec, parse
from suites.ledger.formula import formula_ledger
from suites.ledger.of_cell import load, record_cell
from suites.settings.cells import Cell

from ...conftest import ARCHITECTURES, SHAPE

LABELS = [
    "full_recompute", "cross_kv", "contiguous_kv", "contiguous_kv(cross=recompute)", "static_kv",
    "static_kv(read=buffer)", "static_kv(capacity=32,read=buffer)",
]  # fmt: skip


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_formula_and_record_are_the_same_ledger(architecture):
    shape = tuple(sorted({**SHAPE, **ARCHITECTURES[architecture]}.items()))
    cell = Cell(ModelSpec("tiny", "random", shape=shape), 9, 6, 3, "cpu", "fp32", 1, 0, "fixed")
    strategies = [parse(label) for label in LABELS]
    recorded = record_cell(cell, strategies, k=2)
    recorded = recorded[(recorded["src_len"] == 9) & (recorded["k"].isna() | (recorded["k"] == 2))]
    formula = formula_ledger(load(cell).config, strategies, 3, 9, 6, k=2, width=4)
    order = ["strategy", "phase", "role", "kind"]
    pd.testing.assert_frame_equal(
        formula.sort_values(order).reset_index(drop=True), recorded.sort_values(order).reset_index(drop=True)
    )


@pytest.mark.parametrize("label", ["static_kv(read=bucket)", "static_kv(capacity=70,read=bucket)"])
@pytest.mark.parametrize("k", [3, 65])
def test_a_length_bucket_is_recorded_as_it_is_read_where_a_target_is_longer_than_the_first(label, k):
    shape = tuple(sorted(SHAPE.items()))
    cell = Cell(ModelSpec("tiny", "random", shape=shape), 9, 70, 1, "cpu", "fp32", 1, 0, "fixed")
    recorded = record_cell(cell, [parse(label)], k=k)
    mine = recorded[(recorded["role"] == "self.scores") & (recorded["k"] == k) & (recorded["src_len"] == 9)]
    (scores,) = mine.to_dict("records")
    assert scores["cols"] == (64 if k == 3 else 70)
    assert scores["shape"] == "[BH,1,d] x [BH,d,M]"
    formula = formula_ledger(load(cell).config, [parse(label)], 1, 9, 70, k=k, width=4)
    (same,) = formula[(formula["role"] == "self.scores") & (formula["k"] == k)].to_dict("records")
    assert (same["flops"], same["shape"]) == (scores["flops"], scores["shape"])
