"""Every contender of this package decodes what our oracle does, with padded sources, to a fixed length and to EOS."""

import dataclasses
import importlib.util
import math
import shutil

import pytest
import torch

from strategies import load_model
from strategies.models.export import save_checkpoint
from suites.contenders import registry
from suites.contenders.running.agreement import check_tokens, padded
from suites.contenders.running.cache import shared_checkpoint
from suites.contenders.running.process import Process
from tests.suites.contenders.conftest import SRC_IDS, STEPS, cell_of, decode, seed_and_end

QUICK = ["transformers_dynamic", "transformers_static", "transformers_no_cache", "ctranslate2_float32"]
INT8 = "ctranslate2_int8"
COMPILED = "transformers_static_compiled"

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ctranslate2") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
]


def test_the_package_has_six():
    assert set(registry()) >= {*QUICK, INT8, COMPILED}


@pytest.mark.parametrize("name", QUICK)
def test_tokens_are_those_of_the_oracle(prepared, name, cell):
    ours = decode(cell)
    decoded = prepared(name, cell).round(SRC_IDS, cell.stop)
    assert padded(decoded.token_ids, 0).tolist() == ours.tolist()
    lengths = [len(row) for row in decoded.token_ids]
    assert min(lengths) == STEPS if cell.stop == "fixed" else min(lengths) < max(lengths)


@pytest.mark.parametrize("stop", ["fixed", "eos"])
@pytest.mark.parametrize("name", ["transformers_dynamic", "transformers_no_cache", "ctranslate2_float32"])
def test_prefix_and_rules_of_choice_are_those_of_the_oracle(prepared, name, stop):
    """Each rule forbids what would be chosen without it."""
    end = seed_and_end()[1]
    rules = {"prefix_ids": (17, 4)}
    rules["suppress_ids"] = tuple({*decode(cell_of(stop, **rules))[:, 1].tolist()} - {end})
    if name.startswith("transformers"):
        rules["begin_suppress_ids"] = tuple(decode(cell_of(stop, **rules))[:, 0].tolist())
    if stop == "eos":
        rules["forced_eos_id"] = end
    cell = cell_of(stop, **rules)
    ours = decode(cell)
    decoded = prepared(name, cell).round(SRC_IDS, stop)
    assert padded(decoded.token_ids, 0).tolist() == ours.tolist()
    assert len(decoded.marks_s) == ours.shape[1] + 2
    if stop == "eos":
        assert {row[-1] for row in decoded.token_ids} == {end}


@pytest.mark.parametrize("name", QUICK)
def test_there_is_a_mark_for_start_prefill_and_every_token_in_order(prepared, name, cell):
    contender = prepared(name, cell)
    for _ in range(2):
        decoded = contender.round(SRC_IDS, cell.stop)
        assert decoded.every_step
        assert len(decoded.marks_s) == max(map(len, decoded.token_ids)) + 2
        known = [mark for mark in decoded.marks_s if not math.isnan(mark)]
        assert known == sorted(set(known))
        assert known[0] == 0
        assert math.isnan(decoded.marks_s[1]) == name.startswith("ctranslate2")


def test_int8_gives_as_many_tokens_and_is_not_held_to_the_oracle_s(prepared, cell):
    contender = prepared(INT8, cell)
    decoded = contender.round(SRC_IDS, cell.stop)
    assert not contender.exact
    assert len(decoded.token_ids) == 2
    if cell.stop == "fixed":
        assert [len(row) for row in decoded.token_ids] == [STEPS, STEPS]


@pytest.mark.parametrize("name", QUICK)
def test_a_decoder_with_more_layers_than_the_encoder_is_refused_where_generate_cannot(name):
    deeper = cell_of("fixed", encoder_layers=1)
    refused = registry()[name].supports(deeper)
    assert ("as many layers as the encoder" in refused) == (name in ("transformers_dynamic", "transformers_static"))


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a C++ compiler, and there is no g++")
def test_the_compiled_one_gives_the_oracle_s_tokens_in_its_own_process(tmp_path):
    """Of a model with one layer, as each more takes the compiler seconds."""
    cell = cell_of("fixed", encoder_layers=1, decoder_layers=1)
    checkpoint = shared_checkpoint(load_model(cell.model, seed=cell.seed), tmp_path)
    process = Process(COMPILED, 1, 300)
    try:
        process.ask(do="prepare", checkpoint=str(checkpoint), cell=dataclasses.asdict(cell), source={"ids": SRC_IDS})
        answer = process.ask(do="round", every_step=True)
    finally:
        process.close()
    assert answer["token_ids"] == decode(cell).tolist()


@pytest.mark.parametrize("changes", [{}, {"tie_head": True, "scale_head": True, "gated": False}, {"norm_eps": 1e-5}])
def test_a_saved_t5_is_loaded_back_to_the_bit(tiny_model, tmp_path, changes):
    model = tiny_model("t5", **changes)
    save_checkpoint(model, tmp_path / "t5")
    again = load_model(tmp_path / "t5")
    assert again.config == dataclasses.replace(model.config)
    assert [name for name, _ in again.named_parameters()] == [name for name, _ in model.named_parameters()]
    assert all(torch.equal(a, b) for a, b in zip(again.parameters(), model.parameters(), strict=True))


def test_the_2017_architecture_is_refused(tiny_model, tmp_path):
    with pytest.raises(
        ValueError, match="cannot be saved as a Hugging Face folder; this model is of the architecture transformer2017"
    ):
        save_checkpoint(tiny_model("transformer2017"), tmp_path)


def test_the_tokenizer_calls_each_id_by_its_number(checkpoint):
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(checkpoint)
    assert tokenizer.get_vocab() == {str(number): number for number in range(29)}


class TestJudgement:
    """``check_tokens`` against a strategy's session."""

    @pytest.fixture
    def arm(self, fixed_cell):
        from suites.measuring.arms import StrategyArm
        from suites.settings.inputs import make_inputs

        return self.arm_of(load_model(fixed_cell.model, seed=fixed_cell.seed), fixed_cell, StrategyArm, make_inputs)

    def arm_of(self, model, cell, kind, make_inputs):
        from strategies import parse

        return kind(parse("full_recompute"), model, make_inputs(cell, model.config), cell)

    def test_the_oracle_s_own_tokens_pass_without_a_word(self, arm, fixed_cell):
        assert check_tokens(arm, decode(fixed_cell).tolist(), "fp32", True).reason(exact=True) == (True, "")

    def test_another_token_is_named_with_its_place_and_margin(self, arm, fixed_cell):
        tokens = decode(fixed_cell).tolist()
        right = tokens[1][4]
        tokens[1][4] = wrong = (right + 1) % 29
        found = check_tokens(arm, tokens, "fp32", True)
        passed, reason = found.reason(exact=True)
        assert not passed
        assert reason.startswith(f"step 5: row 1 has token {wrong}, the oracle {right}, whose logit is ")
        assert "higher; allowed 0.000" in reason
        passed, reason = found.reason(exact=False)
        assert passed
        assert reason.startswith("other numerics: ")
        assert reason.endswith("of 24 tokens are not the oracle's choice, the first at step 5 of row 1")

    def test_of_two_that_are_equally_likely_either_passes_and_is_told(self, fixed_cell):
        from suites.measuring.arms import StrategyArm
        from suites.settings.inputs import make_inputs

        model = load_model(fixed_cell.model, seed=fixed_cell.seed)
        tokens = decode(fixed_cell).tolist()
        chosen = tokens[0][1]
        taken = {*tokens[0], *tokens[1], model.config.eos_id}
        other = next(number for number in range(max(13, chosen + 1), 29) if number not in taken)
        for weight in (model.embedding.weight, model.lm_head.weight):
            weight[other] = weight[chosen]
        arm = self.arm_of(model, fixed_cell, StrategyArm, make_inputs)
        tokens[0][1] = other
        passed, reason = check_tokens(arm, tokens, "fp32", True).reason(exact=True)
        assert passed
        assert reason.startswith("ties: ")
        assert reason.endswith("rounding tells apart; the first at step 2 of row 0")
