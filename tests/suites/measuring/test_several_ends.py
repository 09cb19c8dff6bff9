"""A model with several ends: each of them ends a row, none is chosen where the length is fixed, none is a source."""

import pytest
import torch

from strategies import ModelSpec, Session, greedy, load_model, parse
from suites.contenders.running.agreement import check_tokens
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.probes.overhead import shrunk
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock

SIZES = {
    "vocab_size": 12,
    "d_model": 14,
    "num_heads": 3,
    "d_kv": 5,
    "d_ff": 22,
    "encoder_layers": 1,
    "decoder_layers": 2,
    "tie_head": False,
    "scale_head": False,
}
ENDS = (1, 6, 2)
STEPS = 8


def case(stop):
    """(cell, model, inputs); weights whose choices, with no end, hold each of the ends."""
    shape = tuple(sorted({**SIZES, "eos_id": ENDS[0], "other_eos_ids": ENDS[1:]}.items()))
    cell = Cell(ModelSpec("ends", "random", shape=shape), 5, STEPS, 6, "cpu", "fp32", 1, 0, stop)
    model = load_model(cell.model, seed=0)
    return cell, model, make_inputs(cell, model.config)


def chosen(model, inputs, stop):
    session = Session(model, parse("static_kv"), *inputs.source.shape, STEPS)
    session.prefill(inputs.source, inputs.src_mask_BS)
    return torch.stack(list(greedy(session, stop)), dim=1)


def test_rows_end_at_whichever_comes_first():
    cell, model, inputs = case("eos")
    arm = StrategyArm(parse("static_kv"), model, inputs, cell)
    arm.round(0, False, CpuClock())
    first = [next((i + 1 for i, n in enumerate(row) if n in ENDS), len(row)) for row in arm.token_BN.tolist()]
    assert arm.row_lens() == first
    ended_by = {row[length - 1] for row, length in zip(arm.token_BN.tolist(), first, strict=True)} & set(ENDS)
    assert len(ended_by) > 1, "two of the ends must end a row"


@pytest.mark.parametrize("stop", ["fixed", "eos"])
def test_the_proof_of_equality_and_of_tokens_end_where_the_rounds_do(stop):
    cell, model, inputs = case(stop)
    token_BN = chosen(model, inputs, stop)
    oracle, seen = StrategyArm(parse("full_recompute"), model, inputs, cell), []
    step = oracle.session.step
    oracle.session.step = lambda token_B: seen.append(token_B.clone()) or step(token_B)
    fixed = stop == "fixed"
    check(oracle, [], "fp32", oracle.search(), fixed)
    fed_BN = torch.stack(seen[1:], dim=1)
    if fixed:
        assert not set(token_BN.flatten().tolist()) & set(ENDS)
        assert not set(fed_BN.flatten().tolist()) & set(ENDS)
    else:
        assert len(seen) == token_BN.shape[1] < STEPS, "decoding stops once every row has ended"
    oracle.session.step = step
    rows = [
        row if fixed else row[: next((i + 1 for i, n in enumerate(row) if n in ENDS), len(row))]
        for row in token_BN.tolist()
    ]
    assert check_tokens(oracle, rows, "fp32", fixed).different == 0


def test_no_end_is_a_source_and_the_shrunk_model_has_as_many():
    _, model, inputs = case("fixed")
    assert not set(inputs.source.flatten().tolist()) & set(ENDS)
    assert len(set(shrunk(model.config).eos_ids)) == len(ENDS)
