"""A profile of beam search: reordering and choosing have ranges of their own."""

import pytest

from strategies import parse
from suites.profiling.tables import range_table
from suites.settings.cells import make_cell
from suites.settings.config import RunConfig
from suites.settings.search import SearchConfig
from suites.verbs import profile as verb

from .arms import STEPS, arms_of, trace
from .test_ranges import expected_ranges

LABELS = ["full_recompute", "contiguous_kv(cross_beams=expanded)", "static_kv(reorder=table)"]


def beam_arms(label, **search):
    model = {
        "name": "sliver", "source": "random", "architecture": "t5", "vocab_size": 29, "d_model": 14, "num_heads": 3,
        "d_kv": 5, "d_ff": 22, "encoder_layers": 1, "decoder_layers": 2,
    }  # fmt: skip
    config = RunConfig(
        model=model, src_len=7, tgt_len=STEPS[-1], batch_size=2, device="cpu", threads=1, search=SearchConfig(**search)
    )
    return verb.prepare(make_cell(config), [parse(label)])[0]


@pytest.mark.parametrize("label", LABELS)
def test_reordering_and_choosing_are_ranges_of_a_step(label, tmp_path):
    arm, spare = beam_arms(label, kind="beam", num_beams=3)
    ranges = range_table(trace(arm, spare, tmp_path)).set_index("range")
    beams = {"decode_step/reorder": len(STEPS), "decode_step/search": len(STEPS)}
    assert ranges["calls"].to_dict() == expected_ranges(label != "full_recompute") | beams
    assert (ranges.loc[list(beams), "products"] == 0).all()
    moves = ranges.loc["decode_step/reorder", "other_s"]
    assert (moves > 0) == (label != "full_recompute")


def test_nothing_stays_on_the_model_after_a_profile(tmp_path):
    arm, spare = beam_arms("contiguous_kv", kind="beam", num_beams=2)
    trace(arm, spare, tmp_path)
    assert "select" not in vars(arm.session.model.decoder)


def test_a_search_without_beams_has_the_ranges_of_greedy_search(tmp_path):
    arm, spare = beam_arms("static_kv", kind="sample")
    sampled = range_table(trace(arm, spare, tmp_path / "sample"))
    assert sampled["range"].tolist() == range_table(trace(*arms_of("static_kv"), tmp_path))["range"].tolist()
