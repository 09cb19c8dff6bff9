"""Equality before timing: every strategy must reproduce the oracle's logits at every step, fed the oracle's tokens."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategies.search import forbid, is_end

from ..probes.finite import require_finite
from ..settings.faults import Fault, contained
from .arms import StrategyArm

TOLERANCE = {"fp32": 1e-4, "bf16": 6e-2, "fp16": 1e-2}
"""Largest difference of a logit, as a share of the oracle's largest logit at that step, or of 1 if that is smaller.

The formats round at 2**-24, 2**-9 and 2**-12; sums over D terms in another order, layer upon layer, multiply that.
Logits within it choose the same token wherever the oracle's two best are further apart than twice the tolerance.
"""


@dataclass
class Agreement:
    """Of one arm: its largest logit error so far (NaN after a logit that is), and the reason if it disagreed or failed;
    then ``fault`` has more.
    """

    max_error: float = 0.0
    reason: str = ""
    fault: Fault | None = None

    def fail(self, fault: Fault) -> None:
        """It goes no further."""
        self.reason, self.fault = fault.located, fault


def _difference(logits_BV: Tensor, oracle_BV: Tensor, tolerance: float) -> tuple[float, str]:
    """(largest error, what is wrong or ""). NaN is wrong. The oracle's logits are finite."""
    error_BV = (logits_BV - oracle_BV).abs()
    error = float(error_BV.max())
    allowed = tolerance * max(1.0, float(oracle_BV.abs().max()))
    if error <= allowed:
        return error, ""
    row = int(error_BV.amax(-1).nan_to_num(torch.inf).argmax())
    return error, f"logits of row {row} differ by {error:.3g}, allowed {allowed:.3g}"


def check(
    oracle: StrategyArm,
    arms: Sequence[StrategyArm],
    dtype: str,
    eos_ids: Sequence[int],
    fixed: bool,
    advance: Callable[[StrategyArm], None] = lambda arm: None,
) -> list[Agreement]:
    """Decode once, all arms in step with the oracle; an ``Agreement`` for each. ``advance`` is told of each arm's step.

    An arm that raises or disagrees takes no further step. With ``fixed``, EOS is never chosen, as in timed rounds;
    without, decoding stops once every row of the oracle has ended. Raises NotFiniteError where the oracle's logits are
    not finite, and what the oracle itself raises.
    """
    found = [Agreement() for _ in arms]
    config = oracle.session.model.config
    token_B = torch.full((oracle.session.batch,), config.start_id, device=oracle.session.model.embedding.weight.device)
    oracle.prefill()
    for arm, agreement in zip(arms, found, strict=True):
        with contained(agreement.fail):
            arm.prefill()
            if arm is not oracle:  # a session decodes one batch after another: what it kept of one must not be left
                arm.session.step(token_B)
                arm.prefill()
    ended_B = torch.zeros_like(token_B, dtype=torch.bool)
    for k in range(1, oracle.session.max_new + 1):
        oracle_BV = oracle.session.step(token_B).float().clone()
        require_finite(oracle_BV, oracle.session.model, oracle.label, k)
        advance(oracle)
        for arm, agreement in zip(arms, found, strict=True):
            if agreement.reason or arm is oracle:
                continue
            with contained(agreement.fail):  # a strategy of a user may fail in any way: the others go on
                error, wrong = _difference(arm.session.step(token_B).float(), oracle_BV, TOLERANCE[dtype])
                agreement.max_error = error if math.isnan(error) else max(agreement.max_error, error)
                if wrong:
                    agreement.reason = f"step {k}: {wrong}"
            advance(arm)
        if fixed:
            forbid(oracle_BV, eos_ids, -torch.inf)
        token_B = oracle_BV.argmax(-1)
        ended_B |= is_end(token_B, eos_ids)
        if not fixed and bool(ended_B.all()):
            break
    return found
