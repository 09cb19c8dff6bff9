"""Low precision at 24 layers: right strategies pass however they round, and faults that rounding would hide do not."""

import copy
import itertools
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from strategies import DTYPES, ModelSpec, Session, load_model, parse, select
from strategies.models.kernels.linears import use_linear
from strategies.models.torch_settings import allow_attention, enabled_attention, kept
from suites.measuring import equality
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.measuring.reference import RATIO, Reference, with_float32_decoder
from suites.settings.cells import Cell
from suites.settings.inputs import Inputs, make_inputs

from .one_cell import CELL
from .planted import Losing

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
        return check(oracle, arms, self.cell.dtype, self.model.config.eos_ids, True, reference=beside)

    def arm(self, strategy, model=None):
        return StrategyArm(strategy, model or self.model, self.inputs, self.cell)


DEEPS = cache(Deep.of)


@pytest.fixture(params=["bf16", "fp16"])
def t5(request):
    return DEEPS("t5", request.param)


@pytest.fixture(params=list(itertools.product(("t5", "transformer2017"), ("bf16", "fp16"))), ids=" ".join)
def deep(request):
    return DEEPS(*request.param)


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


class ShiftedArm(StrategyArm):
    """Counts one position too many, from the middle of the target on."""

    def _allocate(self):
        cell = self._cell
        session = Session(self._model, self.strategy, cell.batch_size, cell.src_len, cell.tgt_len + 1)
        step = session.step

        def shifted(token_B):
            session._position_1 += int(session._step.length == STEPS // 2)
            return step(token_B)

        session.step = shifted
        return session


class StaleArm(StrategyArm):
    """Keeps the cross-attention K/V of other sources in its twelfth layer."""

    def prefill(self):
        self.session.prefill(self._inputs.src_BS.flip(0).roll(3, 1) % 150 + 9)
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
    assert other.max_error > same.max_error, "the stand-in rounds otherwise"


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


def test_an_error_below_the_types_own_rounding_is_no_fault_although_full_recompute_has_none():
    low = DEEPS("t5", "bf16")
    beside = Reference(ORACLE, low.model, low.inputs, low.cell)
    beside.prefill()
    oracle, arm = (low.arm(parse(label)) for label in ("full_recompute", "static_kv"))
    for _ in range(3):
        beside.step(torch.zeros(2, dtype=torch.int64))
        exact_BV = beside._logits_BV
        beside.note(oracle, exact_BV)
        beside.note(arm, exact_BV * (1 + torch.finfo(torch.bfloat16).eps))
    assert 0.8 < beside.ratio(arm, oracle) < 1


def test_the_reference_decodes_where_the_cell_allows_a_kernel_that_takes_no_float32():
    """Its own process setting comes back after each step."""
    low = DEEPS("t5", "bf16")
    beside = Reference(ORACLE, low.model, low.inputs, low.cell)
    beside.prefill()
    with kept():
        allow_attention("cudnn", "cpu")
        beside.step(torch.zeros(2, dtype=torch.int64))
        assert enabled_attention() == ["cudnn"]
    assert beside.reason == ""
