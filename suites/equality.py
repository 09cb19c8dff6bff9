"""Equality before timing: every strategy must reproduce the oracle's logits at every step, fed the oracle's tokens."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

import torch
from torch import Tensor

from .arms import StrategyArm
from .labels import plain

Result = TypeVar("Result")
TOLERANCE = {"fp32": 1e-4, "bf16": 6e-2, "fp16": 1e-2}
"""Largest difference of a logit, as a share of the oracle's largest logit at that step, or of 1 if that is smaller.

The formats round at 2**-24, 2**-9 and 2**-12; sums over D terms in another order, layer upon layer, multiply that.
Logits within it choose the same token wherever the oracle's two best are further apart than twice the tolerance.
"""


@dataclass
class Agreement:
    """Of one arm: its largest logit error so far, and the reason if it disagreed or failed."""

    max_error: float = 0.0
    reason: str = ""
    failed: bool = False


def _difference(logits_BV: Tensor, oracle_BV: Tensor, tolerance: float) -> tuple[float, str]:
    """(largest error, what is wrong or ""). NaN is wrong."""
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
    eos_id: int,
    fixed: bool,
    advance: Callable[[StrategyArm], None] = lambda arm: None,
) -> list[Agreement]:
    """Decode once, all arms in step with the oracle; one ``Agreement`` an arm. ``advance`` is told of each arm's step.

    An arm that raises or disagrees takes no further step. With ``fixed``, EOS is never chosen, as in timed rounds;
    without, decoding stops once every row of the oracle has ended.
    """
    found = [Agreement() for _ in arms]
    oracle.prefill()
    for arm, agreement in zip(arms, found, strict=True):
        _attempt(agreement, arm.prefill)
    config = oracle.session.model.config
    token_B = torch.full((oracle.session.batch,), config.start_id, device=oracle.session.model.embedding.weight.device)
    ended_B = torch.zeros_like(token_B, dtype=torch.bool)
    for k in range(1, oracle.session.max_new + 1):
        oracle_BV = oracle.session.step(token_B).float().clone()
        advance(oracle)
        for arm, agreement in zip(arms, found, strict=True):
            if agreement.reason or arm is oracle:
                continue
            logits_BV = _attempt(agreement, partial(arm.session.step, token_B))
            advance(arm)
            if logits_BV is None:
                continue
            error, wrong = _difference(logits_BV.float(), oracle_BV, TOLERANCE[dtype])
            agreement.max_error = max(agreement.max_error, error)
            if wrong:
                agreement.reason = f"step {k}: {wrong}"
        if fixed:
            oracle_BV[:, eos_id] = -torch.inf
        token_B = oracle_BV.argmax(-1)
        ended_B |= token_B == eos_id
        if not fixed and bool(ended_B.all()):
            break
    return found


def _attempt(agreement: Agreement, call: Callable[[], Result]) -> Result | None:
    try:
        return call()
    except Exception as error:  # a strategy of a user may fail in any way: the others go on
        agreement.reason, agreement.failed = reason_of(error), True
        return None


def reason_of(error: BaseException) -> str:
    """One line for a table: out of memory by that name, else the exception's type and first line."""
    text = plain(str(error).strip().split("\n")[0])
    if isinstance(error, (MemoryError, torch.OutOfMemoryError)) or "can't allocate memory" in text:
        return f"out of memory: {text}" if text else "out of memory"
    known = type(error).__name__ in ("StrategyError", "ModelError", "ConfigError", "ContenderError")
    return text if known else f"{type(error).__name__}: {text}"
