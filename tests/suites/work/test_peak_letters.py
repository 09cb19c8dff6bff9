"""The peak formula in letters gives the numbers of the formula itself."""

from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from strategies import ModelSpec, config_of, parse
from strategies.search.options import Beam, Greedy, Sample
from suites.settings.cells import Cell
from suites.work.capacity import predicted_peak_bytes
from suites.work.peak_letters import peak_formula

SHAPE = {
    "architecture": "t5", "d_ff": 512, "d_kv": 32, "d_model": 128, "decoder_layers": 4, "encoder_layers": 1,
    "num_heads": 4, "vocab_size": 500,
}  # fmt: skip
WHISPER = {
    "architecture": "whisper", "mel_bins": 9, "src_positions": 9, "tgt_positions": 9, "prefix_ids": (3, 4),
    "encoder_heads": 2,
}  # fmt: skip
OTHERS = ({}, {"gated": True}, {"num_kv_heads": 1}, {"architecture": "transformer2017", "num_kv_heads": 2}, WHISPER)
NAMES = (
    "full_recompute", "cross_kv", "contiguous_kv", "static_kv", "static_kv(capacity=100)", "static_kv(read=buffer)",
    "static_kv(read=bucket)", "static_kv(cross=recompute)",
)  # fmt: skip


def shape_of(changed):
    return ModelSpec("m", "random", shape=tuple(sorted({**SHAPE, **changed}.items())))


OF_BEAMS = (
    "full_recompute", "contiguous_kv", "contiguous_kv(cross_beams=expanded)", "static_kv", "static_kv(reorder=table)",
    "static_kv(cross=recompute,cross_beams=expanded)", "static_kv(cross_beams=expanded_once,read=buffer)",
)  # fmt: skip
CASES = [
    *((name, Greedy()) for name in NAMES), *((name, Beam(4)) for name in OF_BEAMS), ("static_kv", Sample(top_p=0.9)),
]  # fmt: skip


@cache
def formula_of(place, name, search):
    return peak_formula(config_of(shape_of(OTHERS[place])), parse(name), search=search)


@given(
    st.sampled_from(range(len(OTHERS))), st.sampled_from(CASES), st.sampled_from(["fp32", "bf16", "fp16"]),
    st.integers(1, 300), st.integers(1, 5000), st.integers(2, 5000),
)  # fmt: skip
def test_the_letters_give_the_numbers_of_the_formula(place, case, dtype, batch, src_len, tgt_len):
    name, search = case
    formula = formula_of(place, name, search)
    tgt_len, model = min(tgt_len, formula.longest or tgt_len), shape_of(OTHERS[place])
    cell = Cell(model, src_len, tgt_len, batch, "cpu", dtype, 1, 0, "fixed", search=search)
    numbers = {"B": batch, "S": src_len, "N": tgt_len}
    assert formula.peak(dtype, numbers) == predicted_peak_bytes(config_of(model), cell, parse(name), False)


@pytest.mark.parametrize(("name", "longest"), [("static_kv(capacity=100)", 100), ("static_kv", None)])
def test_a_limit_of_the_strategy_itself_is_told(name, longest):
    assert formula_of(0, name, Greedy()).longest == longest


@pytest.mark.parametrize("tgt_len", [2, 61, 62, 63, 500])
@pytest.mark.parametrize("name", ["static_kv(read=bucket)", "static_kv(read=bucket,cross=recompute)"])
def test_a_bucket_that_is_longer_than_the_target_reads_the_whole_buffer_in_a_long_prefix(name, tgt_len):
    """The pass over a prefix can be the peak here: it has more rows than any step. Buckets have at least 64 rows."""
    model = shape_of(WHISPER | {"prefix_ids": (3, 4, 5), "tgt_positions": 600, "vocab_size": 8})
    config, strategy = config_of(model), parse(name)
    formula = peak_formula(config, strategy)
    cell = Cell(model, 9, tgt_len, 2, "cpu", "fp32", 1, 0, "fixed")
    numbers = {"B": 2, "S": 9, "N": tgt_len}
    assert formula.peak("fp32", numbers) == predicted_peak_bytes(config, cell, strategy, False)
    assert any(len(moment) > 1 for moment in formula.moments["fp32"])
