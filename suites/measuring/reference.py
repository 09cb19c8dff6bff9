"""The float32 reference of a cell in low precision: how far from float32 a strategy may be, beside full recompute.

Low precision is bf16 and fp16, and narrower weights in a float32 model, whose products round the rows to bf16 or int8.

Logits in bf16 or fp16 are far from float32: at 24 layers of random weights the two have been half the logits' size
apart. Nearly all of it comes from rounding in the encoder, which is the same computation under every strategy, so it
says nothing about a strategy and would hide its faults. The reference therefore is the decoder alone in float32. It has
the cell's own rounded weights and reads the output of the cell's own encoder. What is left is the rounding of the
decoder, in which strategies differ: kernels for one row add up in another order than kernels for k rows.

Let e be the root mean square of a strategy's error to the reference, over all logits of all steps. Full recompute's own
e shows what rounding costs. Another order of rounding gives another e of about the same size, and a lost row of the
cache or a shifted position adds to it. A strategy may reach ``RATIO`` times full recompute's own e.

Over many steps e hides a fault of a single one. The difference from full recompute at each step shows it, but two right
computations are as far apart as their errors together. So the largest difference of a logit may be ``DIFFERENCE`` times
full recompute's own largest error so far, where that is more than the tolerance of the type (``equality``).
"""

from __future__ import annotations

import copy
import dataclasses

import torch
from torch import Tensor, nn

from strategies import DTYPES, Strategy
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.held import is_replaced, plain
from strategies.models.kernels.narrow import rounded
from strategies.models.kernels.packing import products
from strategies.models.torch_settings import any_attention
from strategies.search.searching import Chosen

from ..machine.limits import Limit
from ..probes.finite import require_finite
from ..settings.cells import Cell
from ..settings.faults import Fault, contained
from ..settings.inputs import Inputs
from ..work.capacity import why_too_large
from .arms import StrategyArm

RATIO = 1.5
"""The most that a strategy's error to float32 may be, as a multiple of full recompute's own.

At 24 layers and over 20 tokens and more, right strategies whose products rounded independently of full recompute's came
to 1.18 at most. A lost row of T5's cache came to 3.7 and more, and keys of the next head in a single layer to 1.51 and
more. At widths up to 512, a position that was shifted by one for half the steps came to 4.1 and more.
"""
DIFFERENCE = 2.5
"""The most that a logit may differ from full recompute's, as a multiple of full recompute's largest error to float32 so
far, where that is more than the tolerance.

Two right computations differ by at most the sum of their errors, and 2.5 is 1 + ``RATIO``. At 24 layers, right
strategies came to 2.0 at most, and to 1.9 where they exceeded the tolerance. T5 with the logits of another step, in one
row at one step, came to 5.7 and more, while its error over all steps came to as little as 1.2 times full recompute's.
"""
LOW_PRECISION = ("bf16", "fp16")


class _SameEncoder(nn.Module):
    """The encoder of ``model``, run in its own type. Its output is widened to float32."""

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        self._models = (model,)  # in a tuple, so that it is no submodule and its weights are not widened

    def position_table(self, length: int) -> Tensor | None:
        """That of the encoder."""
        return self._models[0].encoder.position_table(length)

    def forward(self, source: Tensor, source_bias: Tensor | None, position_SD: Tensor | None = None) -> Tensor:
        (model,) = self._models
        if source_bias is not None:  # float32's mask of padding would be -inf in a narrower type
            source_bias = model.source_bias(source_bias[:, 0, 0] == 0)
        memory_BSD: Tensor = model.encoder(source, source_bias, position_SD)
        return memory_BSD.float()


def is_low(cell: Cell) -> bool:
    """Whether products of the cell round what they multiply."""
    return cell.product_dtype in LOW_PRECISION


def with_float32_decoder(model: EncoderDecoder, weights: str = "", linear: str = "torch") -> EncoderDecoder:
    """A copy of ``model`` whose decoder and head are float32, with torch's kernels. It shares the model's encoder.

    ``weights`` and ``linear`` are those of the cell. Narrower weights keep their values, and rows are not rounded.
    """
    made = copy.deepcopy(model, {id(model.encoder): _SameEncoder(model)}).float()
    vars(made.decoder).pop("run_layers", None)
    for module in products(made):
        for patched in ("forward", "project"):
            vars(module).pop(patched, None)
        if is_replaced(module.weight):
            module.weight = nn.Parameter(plain(module.weight), requires_grad=False)
        elif weights:  # a head that shares its weight with the embedding, which is not rounded
            module.weight = nn.Parameter(rounded(module.weight, weights, linear), requires_grad=False)
    return made


def why_no_reference(
    cell: Cell, oracle: Strategy, model: EncoderDecoder, padded: bool, weight_bytes: int, memory: Limit
) -> str:
    """Say why a cell in low precision has no room for its reference; return "" if it has, and for other cells.

    ``weight_bytes`` are those of the cell's ``model``, which stays in memory beside the reference.
    """
    if not is_low(cell):
        return ""
    mine = {*model.decoder.parameters(), *model.lm_head.parameters()}
    numbers = sum(weight.numel() for weight in mine)
    if cell.weights and model.lm_head.weight is model.embedding.weight:  # a rounded head of its own
        numbers += model.lm_head.weight.numel()
    held = weight_bytes + torch.float32.itemsize * numbers
    whole = dataclasses.replace(cell, dtype="fp32", weights="")
    reason = why_too_large(model.config, whole, oracle, padded, held, memory)
    return reason and f"{oracle.label} in float32 {reason}"


class Reference:
    """Steps the float32 reference beside the arms of a cell, and sums up how far their logits are from it.

    Once it has failed, ``reason`` says why, and it judges nothing.
    """

    def __init__(self, oracle: Strategy, model: EncoderDecoder, inputs: Inputs, cell: Cell) -> None:
        """``oracle`` is full recompute, and ``model`` is that of the cell."""
        self.reason = ""
        self.arm = StrategyArm(oracle, with_float32_decoder(model, cell.weights, cell.linear), inputs, cell)
        self._eps = torch.finfo(DTYPES[cell.product_dtype]).eps
        self._logits_BV: Tensor | None = None
        self._step = self._tokens = 0
        self._error_squares: dict[StrategyArm, Tensor] = {}
        """Sums of the squared errors of each arm so far."""
        self._largest: dict[StrategyArm, Tensor] = {}
        """The largest absolute error of a logit of each arm so far."""
        self._size_squares: Tensor | float = 0.0
        """Sum of the squared logits of the reference itself."""

    def prefill(self) -> None:
        """Start on the cell's sources."""
        with contained(self._fail):
            self.arm.prefill()

    def step(self, chosen: Chosen) -> None:
        """Feed the tokens that the oracle was fed, to the rows that go on."""
        self._step, self._tokens, self._logits_BV = self._step + 1, self._tokens + len(chosen.token_X), None
        if self.reason:
            return
        # The cell may have allowed only an attention kernel that does not take float32.
        with contained(self._fail), any_attention(chosen.token_X.device.type):
            self.arm.go_on(chosen)
            logits_BV = self.arm.session.step(chosen.token_X)
            require_finite(logits_BV, self.arm.session.model, "the float32 reference", self._step)
            self._logits_BV = logits_BV
            self._size_squares += _squares(logits_BV)

    def note(self, arm: StrategyArm, logits_BV: Tensor) -> None:
        """Note the logits, float32 [B, V], that an arm gave at this step."""
        if self._logits_BV is not None:
            error_BV = logits_BV - self._logits_BV
            self._error_squares[arm] = _squares(error_BV) + self._error_squares.get(arm, 0.0)
            largest = error_BV.abs().max()
            self._largest[arm] = torch.maximum(largest, self._largest.get(arm, largest))

    def largest_error(self, arm: StrategyArm) -> float:
        """The largest absolute error of a logit of ``arm`` so far, in this and earlier steps; 0 once this failed."""
        return float(self._largest[arm]) if arm in self._largest and not self.reason else 0.0

    def ratio(self, arm: StrategyArm, oracle: StrategyArm) -> float | None:
        """Error of ``arm`` over that of ``oracle``, once both took every step; None where the reference failed.

        Where layers or tokens are few, the own error may be small by chance. It counts as at least the type's epsilon
        (twice that for a single token) as a share of the logits' root mean square.
        """
        if self.reason:
            return None
        mine, own = (float(self._error_squares[each]) ** 0.5 for each in (arm, oracle))
        own = max(own, self._eps * (1 + 1 / self._tokens) * float(self._size_squares) ** 0.5)
        return mine / own if own else 1.0

    def _fail(self, fault: Fault) -> None:
        self.reason, self._logits_BV = fault.located, None


def _squares(values_BV: Tensor) -> Tensor:
    return values_BV.square().sum(dtype=torch.float64)


def disagreement(ratio: float | None) -> str:
    """Say that an arm is too far from float32, by its ``Reference.ratio``; return "" if it is not.

    >>> disagreement(2.138)
    'its error to float32, over all steps, is 2.14 times that of full_recompute, allowed 1.5 times'
    """
    if ratio is None or ratio <= RATIO:
        return ""
    return f"its error to float32, over all steps, is {ratio:.3g} times that of full_recompute, allowed {RATIO} times"
