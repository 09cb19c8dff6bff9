"""A ledger of a tiny model, all of whose sizes differ."""

import pandas as pd
import pytest
import torch

from strategies import parse
from suites.ledger.table import make_ledger
from suites.settings.inputs import Inputs

SIZES = {"B": 2, "S": 6, "N": 8}
LABELS = (
    "full_recompute",
    "cross_kv",
    "contiguous_kv(cross=recompute)",
    "contiguous_kv",
    "static_kv(cross=recompute)",
    "static_kv",
    "static_kv(cross=recompute,capacity=9,read=buffer)",
    "static_kv(capacity=9,read=buffer)",
)


def sources(model, batch: int, src_len: int) -> Inputs:
    """Random ids, no padding."""
    src_BS = torch.randint(2, model.config.vocab_size, (batch, src_len), generator=torch.Generator().manual_seed(1))
    return Inputs(src_BS, None, (src_len,) * batch)


@pytest.fixture(scope="session")
def ledger(tiny_model) -> pd.DataFrame:
    """Training and eight strategies at k = 1, 5, 8 for S = 6, and k = 1 for S = 3; T5, gated."""
    model = tiny_model("t5")
    cases = [(sources(model, SIZES["B"], SIZES["S"]), (1, 5, 8)), (sources(model, SIZES["B"], 3), (1,))]
    return make_ledger(model, [parse(label) for label in LABELS], cases, SIZES["N"])
