"""Low precision at 24 layers: right strategies pass however they round, and faults that rounding would hide do not."""

import copy
import dataclasses
import itertools
import json
import weakref
from dataclasses import dataclass
from functools import cache

import pytest
import torch

from strategies import DTYPES, ModelSpec, Session, config_of, load_model, parse, select
from strategies.contiguous_kv import ContiguousKV, ContiguousStore
from strategies.models.kernels.linears import use_linear
from strategies.models.torch_settings import allow_attention, enabled_attention, kept
from suites.contenders.running.lineup import Contenders
from suites.measuring import admission, equality, reference, runner
from suites.measuring.arms import StrategyArm
from suites.measuring.equality import check
from suites.measuring.reference import RATIO, Reference, with_float32_decoder
from suites.measuring.runner import run_cell
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.settings.inputs import Inputs, make_inputs
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table
from suites.telling.choices_told import float32_told
from suites.telling.summary import equality_told
from suites.words.progress import Progress
from suites.work.planning import effort, predict

from .one_cell import CELL, measure

ORACLE = parse("full_recompute")
DEEP = {"vocab_size": 200, "d_model": 128, "num_heads": 4, "d_kv": 32, "d_ff": 256, "encoder_layers": 24,
        "decoder_layers": 24}  # fmt: skip
STEPS = 10
LOW = dataclasses.replace(CELL, dtype="bf16")


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


class LosingStore(ContiguousStore):
    """Never writes the fourth row."""

    def append(self, k_BGTK, v_BGTK, step):
        written = float(step.length != 4)
        return super().append(k_BGTK * written, v_BGTK * written, step)


@dataclass(frozen=True)
class Losing(ContiguousKV):
    label = "losing"

    def self_kv(self, shape):
        return LosingStore(shape)


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


def test_a_shifted_position_is_caught_although_in_bf16_the_tolerance_lets_it_pass(t5):
    shifted = ShiftedArm(parse("contiguous_kv"), t5.model, t5.inputs, t5.cell)
    (alone,) = t5.found(shifted, compared=False)
    assert (alone.reason == "") == (t5.cell.dtype == "bf16")
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


def test_cells_in_float32_have_no_reference_and_are_judged_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr(admission, "Reference", None)
    monkeypatch.setattr(runner, "why_too_large", lambda *given: "has no room")
    measure(select("core"), tmp_path)
    assert "fp32_reason" not in json.loads((tmp_path / "cells" / CELL.id / "cell.json").read_text())
    monkeypatch.undo()
    monkeypatch.setattr(admission, "Reference", None)
    results = measure(select("core"), tmp_path)
    assert {(result.status, result.fp32_error_ratio) for result in results.values()} == {("ok", None)}
    assert "fp32_reason" not in json.loads((tmp_path / "cells" / CELL.id / "cell.json").read_text())
    narrowed = measure(select("core"), tmp_path, dataclasses.replace(CELL, weights="bf16"))
    assert {result.fp32_error_ratio for result in narrowed.values()} == {None}


def read(folder):
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": LOW.id}]})
    return read_cells(folder)


def test_a_run_in_low_precision_tells_the_error_and_lets_go_of_the_reference_before_timing(tmp_path, monkeypatch):
    made, left = [], []

    class Watched(Reference):
        def __init__(self, *given):
            super().__init__(*given)
            made.append(weakref.ref(self.arm.session.model))

    usual = admission.Admission._weigh

    def weigh(self):
        left.extend(model() for model in made)
        usual(self)

    monkeypatch.setattr(admission, "Reference", Watched)
    monkeypatch.setattr(admission.Admission, "_weigh", weigh)
    results = measure([*select("core"), Losing()], tmp_path, LOW)
    assert left == [None]
    assert results["losing"].status == "invalid"
    ratios = [results[strategy.label].fp32_error_ratio for strategy in select("core")]
    assert all(0 < ratio <= RATIO for ratio in ratios)
    cells = read(tmp_path)
    assert float32_told(cells) == []
    table = case_table(cells)
    assert table["fp32_error_ratio"].tolist()[:4] == ratios
    assert equality_told(table).endswith(f"; its error to float32 was at most {max(ratios):.2f} times full recompute's")


def no_room(monkeypatch):
    monkeypatch.setattr(reference, "why_too_large", lambda *given: "needs 9 GB")
    return "full_recompute in float32 needs 9 GB"


def fails_in_its_third_step(monkeypatch):
    usual = Session.step

    def step(session, token_B):
        if session.model.embedding.weight.dtype == torch.float32 and session._step.length == 3:
            raise torch.OutOfMemoryError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", step)
    return "out of memory: no room"


def cannot_be_made(monkeypatch):
    def refuse(model):
        raise torch.OutOfMemoryError("no room")

    monkeypatch.setattr(reference, "with_float32_decoder", refuse)
    return "out of memory: no room"


def has_no_oracle(monkeypatch):
    usual = Session.step

    def step(session, token_B):
        if session.strategy == ORACLE and session.model.embedding.weight.dtype == torch.bfloat16:
            raise torch.OutOfMemoryError("no room")
        return usual(session, token_B)

    monkeypatch.setattr(Session, "step", step)
    return "full_recompute failed: out of memory: no room"


@pytest.mark.parametrize("missing", [no_room, fails_in_its_third_step, cannot_be_made, has_no_oracle])
def test_where_there_is_no_reference_the_tolerance_judges_and_the_reason_is_told(missing, tmp_path, monkeypatch):
    why = missing(monkeypatch)
    results = measure([*select("core"), Losing()], tmp_path, LOW)
    assert {results[name].status for name in ("cross_kv", "contiguous_kv", "static_kv")} == {"ok"}
    assert results["losing"].status == "invalid"
    assert {result.fp32_error_ratio for result in results.values()} == {None}
    cells = read(tmp_path)
    assert cells[0].cell["fp32_reason"] == why
    assert float32_told(cells) == [
        f"dtype=bf16, batch 2, 5 -> 6 tokens: strategies were not compared with float32: {why}"
    ]


def test_the_reference_is_one_more_decode_of_full_recompute_in_the_forecast():
    measured, chosen = MeasureConfig(rounds=2, warmup=0, aa=False), select("core")
    work = {dtype: effort(dataclasses.replace(CELL, dtype=dtype), chosen, measured).work for dtype in ("fp32", "bf16")}
    passes = {dtype: predict(dataclasses.replace(CELL, dtype=dtype), config_of(CELL.model), chosen) for dtype in work}
    rounds = {dtype: 4 * sum(total.work for total in passes[dtype].values()) for dtype in work}
    assert work["fp32"] == rounds["fp32"]
    assert work["bf16"] == rounds["bf16"] + passes["bf16"]["full_recompute"].work


def test_progress_comes_to_its_end_with_the_reference_and_without(tmp_path, monkeypatch):
    chosen, done = select("core"), []
    for missing in (False, True):
        if missing:
            no_room(monkeypatch)
        measured = MeasureConfig(rounds=2, warmup=0, aa=False)
        with Progress(effort(LOW, chosen, measured).work, 1) as progress:
            run_cell(LOW, chosen, measured, tmp_path, progress, Contenders())
            done.append(progress._done / progress._total)
    assert done == pytest.approx([1, 1])
