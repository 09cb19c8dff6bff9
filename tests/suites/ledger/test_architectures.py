"""The ledger of every architecture: encoders of other sizes, convolutions, prefixes, two vocabularies."""

import pandas as pd
import pytest

from strategies import ModelSpec, config_of, parse
from strategies.models.architectures import OPTIONS
from strategies.search.options import Beam, Greedy
from suites.ledger import expected, verify
from suites.ledger.column import at_step, legend, letters, prefix_told
from suites.ledger.exported import layer_letters
from suites.ledger.formula import formula_ledger
from suites.ledger.of_cell import record_cell
from suites.ledger.sizes import values
from suites.settings.cells import Cell
from suites.work.formulas import formulas
from suites.work.role_names import role_name

from ...architectures import SHAPE, SRC_LEN, VARIANTS

BEAMS = [parse(name) for name in ("static_kv(reorder=table)", "contiguous_kv(cross=recompute,cross_beams=expanded)")]
STRATEGIES = [parse(name) for name in ("full_recompute", "contiguous_kv", "static_kv(read=buffer)", "pruned_cross_kv")]
BATCH, TARGET, K = 3, 5, 6
SMALL = SHAPE | {"vocab_size": 50, "d_model": 32, "d_ff": 40, "d_kv": 6}
SIZES = {"marian": {"src_vocab_size": 41, "pad_id": 40, "start_id": 40}}


def spec(architecture: str) -> ModelSpec:
    shape = {**SMALL, **VARIANTS[architecture], **SIZES.get(architecture, {}), "architecture": architecture}
    return ModelSpec("m", "random", shape=tuple(sorted(shape.items())))


def cell_of(model: ModelSpec, beams: int) -> Cell:
    search = Beam(beams) if beams > 1 else Greedy()
    return Cell(model, SRC_LEN, TARGET, BATCH, "cpu", "fp32", 1, 0, "fixed", search=search)


@pytest.mark.parametrize(
    ("architecture", "beams", "strategies"), [*((name, 1, STRATEGIES) for name in OPTIONS), ("whisper", 2, BEAMS)]
)
def test_formula_and_record_are_the_same_ledger(architecture, beams, strategies):
    """Recording compares each product with its letters, on shadows whose sizes are primes and on the model itself."""
    cell = cell_of(spec(architecture), beams)
    config = config_of(cell.model)
    k = min(K, config.target_rows(TARGET))
    recorded = at_step(record_cell(cell, strategies, k=k), k, SRC_LEN)
    formula = formula_ledger(config, strategies, BATCH, SRC_LEN, TARGET, k=k, width=4, beams=beams)
    order = ["strategy", "phase", "role", "kind"]
    pd.testing.assert_frame_equal(
        formula.sort_values(order).reset_index(drop=True), recorded.sort_values(order).reset_index(drop=True)
    )
    for strategy in strategies:
        once = formula[(formula["strategy"] == strategy.label) & (formula["phase"] == "prefill")]
        assert (once["flops"] * once["count"]).sum() == formulas(config, cell, strategy).prefill_flops


@pytest.mark.parametrize("architecture", OPTIONS)
def test_no_two_letters_of_the_shadow_have_the_same_number(architecture):
    shadow, bound, steps = verify._bind(parse("static_kv(read=buffer)"))
    config, known = shadow.config(config_of(spec(architecture))), verify.facts(bound, steps, shadow.source)
    sizes = values(config, B=shadow.batch, S=shadow.source, N=shadow.target)
    seen: dict[int, set[object]] = {}
    once = [*expected.prefill(config, known), *expected.prefix(config, known)]
    for products, k in ((expected.training(config), 1), (once, None), (expected.step(config, known), shadow.step)):
        numbers = sizes | expected.numbers(bound, k, shadow.source, 1, prefix_len=config.prefix_len)
        for said, number in zip(products, verify.in_numbers(products, numbers), strict=True):
            for size in ("batch", "rows", "inner", "cols"):
                seen.setdefault(getattr(number, size), set()).add(getattr(said, size))
    assert all(len(expressions) == 1 for expressions in seen.values()), seen


@pytest.fixture(scope="module")
def whisper() -> pd.DataFrame:
    return formula_ledger(config_of(spec("whisper")), STRATEGIES[:2], BATCH, SRC_LEN, TARGET, k=K, width=4)


def test_convolutions_are_products_that_read_each_input_once(whisper):
    mine = whisper[whisper["strategy"] == "contiguous_kv"].set_index("role")
    assert list(mine.loc["encoder.front_end.conv1", ["shape", "shape_numbers"]]) == [
        "[B,2S,3m] x [3m,D]", "[3,24,30] x [30,32]",
    ]  # fmt: skip
    assert mine.loc["encoder.front_end.conv2", "shape"] == "[B,S,3D] x [3D,D]"
    assert mine.loc["encoder.front_end.conv1", "input_bytes"] == 4 * BATCH * 10 * 2 * SRC_LEN
    assert mine.loc["encoder.front_end.conv2", "input_bytes"] == 4 * BATCH * 32 * 2 * SRC_LEN


def test_a_prefix_is_fed_in_prefill_by_strategies_that_keep_its_rows(whisper):
    fed = whisper[(whisper["phase"] == "prefill") & (whisper["role"] == "self.scores")]
    assert fed[["strategy", "shape", "shape_numbers", "grows_with"]].values.tolist() == [
        ["contiguous_kv", "[BH,P-1,d] x [BH,d,P-1]", "[12,3,6] x [12,6,3]", "-"]
    ]
    assert "the first 3 tokens of the prefix of 4" in prefix_told(whisper)
    assert prefix_told(whisper[whisper["strategy"] == "full_recompute"]) == ""


def test_an_encoder_has_letters_of_its_own_for_what_differs_alone():
    own = formula_ledger(config_of(spec("pegasus")), STRATEGIES[:1], BATCH, SRC_LEN, TARGET, k=K - 1, width=4)
    shapes = own[own["phase"] == "prefill"].set_index("role")["shape"]
    assert shapes["encoder.self.qkv"] == "[B,S,D] x [D,3Hₑdₑ]"
    assert shapes["encoder.self.scores"] == "[BHₑ,S,dₑ] x [BHₑ,dₑ,S]"
    assert shapes["encoder.ffn.wi"] == "[B,S,D] x [D,F]"
    found = letters(own)
    assert (found["Hₑ"], found["dₑ"], found["H"], found["d"]) == (8, 8, 4, 6)


def test_letters_are_told_with_their_meaning_and_the_decoder_knows_none_of_the_encoder(whisper):
    assert "m features per frame 10" in legend(whisper)
    for architecture in ("whisper", "pegasus"):
        data = layer_letters(config_of(spec(architecture)), STRATEGIES[:2])
        assert set(data["sizes"]) == {"H", "d", "D", "F", "V"}
        assert not {"Hₑ", "m", "P", "W"} & set(data["meanings"])


def test_every_role_of_a_front_end_comes_before_the_encoder(whisper):
    roles = list(dict.fromkeys(whisper["role"]))
    assert roles[:3] == ["encoder.front_end.conv1", "encoder.front_end.conv2", "encoder.self.qkv"]
    assert role_name("encoder.front_end.conv1") == roles[0]
