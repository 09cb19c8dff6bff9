"""Low precision at 24 layers: right strategies pass however they round, and faults that rounding would hide do not."""

import copy
import itertools
import math
import re
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from strategies import DTYPES, ModelSpec, load_model, parse, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.models.kernels.linears import use_linear
from strategies.models.kernels.narrow import rounded, use_weights
from strategies.models.kernels.packing import products, unavailable_on
from strategies.models.torch_settings import allow_attention, enabled_attention, kept
from strategies.search.searching import Chosen
from suites.measuring import equality
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.measuring.reference import RATIO, Reference, with_float32_decoder
from suites.settings.cells import Cell
from suites.settings.inputs import Inputs, make_inputs

from .one_cell import CELL, EVEN_CELL
from .planted import Losing, ShiftedArm

ORACLE = parse("full_recompute")
DEEP = {"vocab_size": 200, "d_model": 128, "num_heads": 4, "d_kv": 32, "d_ff": 256, "encoder_layers": 24,
        "decoder_layers": 24}  # fmt: skip
STEPS = 10


@dataclass(frozen=True)
class Deep:
    """A narrow model of 24 + 24 layers in low precision, with its cell and sources."""

    cell: Cell
    model: torch.nn.Module
    inputs: Inputs

    @classmethod
    def of(cls, architecture, dtype):
        shape = tuple(sorted({**DEEP, "architecture": architecture}.items()))
        cell = Cell(ModelSpec("deep", "random", shape=shape), 8, STEPS, 2, "cpu", dtype, 1, 1, "fixed")
        model = load_model(cell.model, DTYPES[dtype], seed=cell.seed)
        return cls(cell, model, make_inputs(cell, model.config))

    def found(self, *arms, compared=True):
        """The agreement of each arm, with the float32 reference or without."""
        oracle = StrategyArm(ORACLE, self.model, self.inputs, self.cell)
        beside = Reference(ORACLE, self.model, self.inputs, self.cell) if compared else None
        return check(oracle, arms, self.cell.dtype, oracle.search(), True, reference=beside)

    def arm(self, strategy, model=None):
        return StrategyArm(strategy, model or self.model, self.inputs, self.cell)


DEEPS = cache(Deep.of)


@pytest.fixture(params=["bf16", "fp16"])
def t5(request):
    return DEEPS("t5", request.param)


@pytest.fixture(params=list(itertools.product(("t5", "transformer2017"), ("bf16", "fp16"))), ids=" ".join)
def deep(request):
    return DEEPS(*request.param)


@pytest.fixture
def rounding_beyond_the_tolerance(monkeypatch):
    """Rounding beside the tolerance as in a deeper and wider model: it exceeds it. The tolerance is a tenth here."""
    monkeypatch.setattr(equality, "TOLERANCE", {dtype: share / 10 for dtype, share in equality.TOLERANCE.items()})


def rounding_otherwise(model):
    """A copy whose decoder rounds its products independently: each is moved by up to a quarter unit before rounding."""
    other, noise = copy.deepcopy(model), torch.Generator().manual_seed(1)

    def product(module):
        def forward(x):
            exact = torch.nn.functional.linear(
                x.float(), module.weight.float(), None if module.bias is None else module.bias.float()
            )
            unit = torch.exp2(exact.abs().clamp(min=1e-30).log2().floor()) * torch.finfo(x.dtype).eps
            return (exact + (torch.rand(exact.shape, generator=noise) - 0.5) * unit / 2).to(x.dtype)

        return forward

    for name, module in other.decoder.named_modules():
        if isinstance(module, torch.nn.Linear) and not name.endswith("cross_attn.kv"):
            module.forward = product(module)
    return other


class OneBadStep(StrategyArm):
    """Gives one wrong logit, in one row at its fifth step: ``wrong`` of it and of the row's largest times epsilon."""

    wrong = staticmethod(lambda logit, unit: logit + 20 * unit)

    def _allocate(self):
        session = super()._allocate()
        step = session.step

        def one_wrong(token_B):
            now = session._step.length
            logits_BV = step(token_B).clone()
            if now == 5:
                unit = logits_BV[1].abs().max() * torch.finfo(DTYPES[self._cell.dtype]).eps
                logits_BV[1, 7] = self.wrong(logits_BV[1, 7], unit)
            return logits_BV

        session.step = one_wrong
        return session


class OneNaN(OneBadStep):
    wrong = staticmethod(lambda logit, unit: logit * torch.nan)


class Forgetful(ContiguousStore):
    """Reads zeros instead of its fourth row at the eighth step, and at no other."""

    def append(self, k_BGTK, v_BGTK, step):
        kept = super().append(k_BGTK, v_BGTK, step)
        if step.length != 8:
            return kept
        for rows_BGMK in (kept := tuple(rows_BGMK.clone() for rows_BGMK in kept)):
            rows_BGMK[:, :, 3] = 0
        return kept


@dataclass(frozen=True)
class ForgettingOnce(ContiguousKV):
    label = "forgetting_once"

    def self_kv(self, shape):
        return Forgetful(shape)


class StaleArm(StrategyArm):
    """Keeps the cross-attention K/V of other sources in its twelfth layer."""

    def prefill(self):
        self.session.prefill(self._inputs.source.flip(0).roll(3, 1) % 150 + 9)
        old = self.session._attended.sources[12]
        super().prefill()
        self.session._attended.sources[12].copy_(old)


def without_tolerance(deep, *arms):
    """The agreements by the float32 reference alone."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(equality, "_difference", lambda *given: (0.0, ""))
        return deep.found(*arms)


def test_right_strategies_pass(deep):
    found = deep.found(*map(deep.arm, select("core")), deep.arm(parse("static_kv(read=buffer)")))
    assert [agreement.reason for agreement in found] == [""] * 5
    assert max(agreement.fp32_ratio for agreement in found) < RATIO / 1.2


def test_a_right_strategy_that_rounds_independently_passes(deep):
    same, other = (deep.arm(parse("static_kv"), model) for model in (deep.model, rounding_otherwise(deep.model)))
    same, other = deep.found(same, other)
    assert other.reason == ""
    assert other.fp32_ratio < RATIO / 1.2
    assert other.fp32_ratio != same.fp32_ratio, "the stand-in rounds otherwise"


@pytest.mark.usefixtures("rounding_beyond_the_tolerance")
def test_a_right_strategy_whose_rounding_exceeds_the_tolerance_passes_only_beside_the_reference(t5):
    other = t5.arm(parse("static_kv"), rounding_otherwise(t5.model))
    (alone,) = t5.found(other, compared=False)
    assert alone.reason.startswith("step ")
    assert "float32" not in alone.reason
    (found,) = t5.found(other)
    assert found.reason == ""
    assert found.max_error > alone.max_error, "the largest difference of all steps, and not only of those within"


@pytest.mark.usefixtures("rounding_beyond_the_tolerance")
def test_one_bad_logit_that_the_error_over_all_steps_hides_is_caught_by_the_difference(t5):
    bad = OneBadStep(parse("static_kv"), t5.model, t5.inputs, t5.cell)
    (hidden,) = without_tolerance(t5, bad)
    assert hidden.reason == ""
    (found,) = t5.found(bad)
    said = re.fullmatch(
        rf"step 5: logits of row 1 differ by {found.max_error:.3g}, allowed (.+), "
        r"which is 2.5 times full_recompute's own largest error to float32 so far",
        found.reason,
    )
    assert said
    assert float(said[1]) < found.max_error


@pytest.mark.usefixtures("rounding_beyond_the_tolerance")
def test_a_row_that_one_step_does_not_read_is_caught_at_that_step(t5):
    (found,) = t5.found(t5.arm(ForgettingOnce()))
    assert found.reason.startswith("step 8: ")


def test_a_logit_that_is_nan_is_caught_at_once_whatever_is_allowed(t5):
    (found,) = t5.found(OneNaN(parse("static_kv"), t5.model, t5.inputs, t5.cell))
    assert found.reason.startswith("step 5: logits of row 1 differ by nan, allowed ")


def test_a_lost_row_of_the_cache_is_caught(deep):
    (found,) = without_tolerance(deep, deep.arm(Losing()))
    assert found.fp32_ratio > 2 * RATIO
    assert found.reason == (
        f"its error to float32, over all steps, is {found.fp32_ratio:.3g} times that of full_recompute, "
        "allowed 1.5 times"
    )


def test_a_shifted_position_is_caught_by_the_tolerance_and_by_the_reference(t5):
    shifted = ShiftedArm(parse("contiguous_kv"), t5.model, t5.inputs, t5.cell)
    (alone,) = t5.found(shifted, compared=False)
    assert alone.reason
    (found,) = without_tolerance(t5, shifted)
    assert found.fp32_ratio > 1.2 * RATIO
    assert "float32" in found.reason


def test_stale_cross_attention_of_one_layer_is_caught(t5):
    (found,) = without_tolerance(t5, StaleArm(parse("static_kv"), t5.model, t5.inputs, t5.cell))
    assert found.fp32_ratio > 2 * RATIO


def test_the_rounding_of_the_encoder_is_no_part_of_it(t5):
    """With the encoder in float32 too, the error would be so large that no fault above would stand out."""
    whole = load_model(t5.cell.model, seed=t5.cell.seed)
    logits = {}
    for name, model in (("narrow", t5.model), ("decoder", with_float32_decoder(t5.model)), ("whole", whole)):
        arm = t5.arm(ORACLE, model)
        arm.prefill()
        logits[name] = arm.session.step(torch.zeros(2, dtype=torch.int64)).float().clone()
    beyond_decoder, beyond_whole = ((logits["narrow"] - logits[name]).norm() for name in ("decoder", "whole"))
    assert beyond_whole > 3 * beyond_decoder


@pytest.mark.parametrize("kernel", ["torch", "transposed"])
def test_the_reference_has_the_cells_weights_and_shares_its_encoder(kernel):
    model = load_model(CELL.model, torch.bfloat16)
    use_linear(model, kernel, 2)
    made = with_float32_decoder(model)
    assert {weight.dtype for weight in model.parameters()} == {torch.bfloat16}
    assert {weight.dtype for weight in made.parameters()} == {torch.float32}
    assert len(list(made.encoder.parameters())) == 0
    for name, weight in made.named_parameters():
        assert torch.equal(weight, model.get_parameter(name).float())
    src_BS = torch.tensor([[5, 6, 7, 8], [9, 10, 0, 0]])
    mask_BS = src_BS > 0
    memory_BSD = model.encoder(src_BS, model.source_bias(mask_BS))
    assert torch.equal(made.encoder(src_BS, made.source_bias(mask_BS)), memory_BSD.float())
    assert made(src_BS, mask_BS, src_BS).dtype == torch.float32


@pytest.mark.parametrize(("weights", "linear"), [("bf16", "torch"), ("int8", "torch"), ("int8", "panel")])
def test_the_reference_of_narrower_weights_has_their_values_and_those_of_the_tied_head_too(weights, linear):
    if why := unavailable_on("cpu", linear):
        pytest.skip(why)
    whole, model = load_model(EVEN_CELL.model), load_model(EVEN_CELL.model)
    use_weights(model, weights, linear)
    made = with_float32_decoder(model, weights, linear)
    assert made.lm_head.weight is not made.embedding.weight
    assert torch.equal(made.embedding.weight, whole.embedding.weight)
    names = {module: name for name, module in made.named_modules()}
    for module in products(made):
        plain = whole.get_submodule(names[module]).weight
        assert torch.equal(module.weight, rounded(plain, weights, linear))
        assert not torch.equal(module.weight, plain)
    src_BS = torch.tensor([[5, 6, 7, 8]])
    assert made(src_BS, None, src_BS).isfinite().all()


def test_an_error_below_the_types_own_rounding_is_no_fault_although_full_recompute_has_none():
    low = DEEPS("t5", "bf16")
    beside = Reference(ORACLE, low.model, low.inputs, low.cell)
    beside.prefill()
    oracle, arm = (low.arm(parse(label)) for label in ("full_recompute", "static_kv"))
    for _ in range(3):
        beside.step(Chosen(torch.zeros(2, dtype=torch.int64)))
        exact_BV = beside._logits_BV
        beside.note(oracle, exact_BV)
        beside.note(arm, exact_BV * (1 + torch.finfo(torch.bfloat16).eps))
    assert 0.8 < beside.ratio(arm, oracle) < 1


def test_the_largest_error_is_that_of_all_steps_so_far_and_none_once_the_reference_failed():
    low = DEEPS("t5", "bf16")
    beside, arm = Reference(ORACLE, low.model, low.inputs, low.cell), low.arm(ORACLE)
    beside.prefill()
    assert beside.largest_error(arm) == 0
    for error, largest in ((0.5, 0.5), (-2.0, 2.0), (1.0, 2.0)):
        beside.step(Chosen(torch.zeros(2, dtype=torch.int64)))
        logits_BV = beside._logits_BV.clone()
        logits_BV[1, 3] += error
        beside.note(arm, logits_BV)
        assert math.isclose(beside.largest_error(arm), largest, rel_tol=1e-5)
    beside.arm.session = None
    beside.step(Chosen(torch.zeros(2, dtype=torch.int64)))
    assert beside.reason
    assert beside.largest_error(arm) == 0


def test_the_reference_decodes_where_the_cell_allows_a_kernel_that_takes_no_float32():
    """Its own process setting comes back after each step."""
    low = DEEPS("t5", "bf16")
    beside = Reference(ORACLE, low.model, low.inputs, low.cell)
    beside.prefill()
    with kept():
        allow_attention("cudnn", "cpu")
        beside.step(Chosen(torch.zeros(2, dtype=torch.int64)))
        assert enabled_attention() == ["cudnn"]
    assert beside.reason == ""
