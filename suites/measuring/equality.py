"""Equality before timing: every strategy must give the oracle's logits at every step, when fed the same tokens.

In low precision it must besides be about as near to float32 as full recompute is (``reference``), and full recompute's
own error to float32 may allow more than the tolerance. An approximate strategy need not be equal: of it the same
decode tells how far it is (``divergence``).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategies import ModelConfig, Session
from strategies.search.ends import is_end
from strategies.search.rules import without_force
from strategies.search.searching import Chosen, Searching

from ..probes.finite import require_finite
from ..settings.faults import Fault, contained
from .arms import StrategyArm
from .divergence import Divergence, not_finite
from .reference import DIFFERENCE, Reference, disagreement
from .spoiled import answering

TOLERANCE = {"fp32": 1e-4, "bf16": 6e-2, "fp16": 1e-2, "tf32": 1e-2}
"""Largest allowed difference of a logit, as a share of max(1, the oracle's largest logit at that step).

The formats round at 2**-24, 2**-8 and 2**-11; TensorFloat-32 rounds as fp16 does. Sums over D terms in another order,
layer upon layer, multiply them. Logits within the tolerance choose the same token wherever the oracle's two best logits
are further apart than twice the tolerance. In a deep model rounding alone may exceed the tolerance
of bf16 and fp16. Where there is a float32 reference, ``DIFFERENCE`` then allows more.
"""


@dataclass
class Agreement:
    """How far one arm agrees with the oracle.

    ``max_error`` is the largest logit error so far, NaN once a logit was NaN. ``fp32_ratio`` is its
    ``Reference.ratio``, None where it was not compared with float32. ``reason`` says why the arm disagreed or failed,
    "" if it did neither. ``fault`` has the traceback if it failed. ``divergence`` is None of exact arms.
    """

    max_error: float = 0.0
    fp32_ratio: float | None = None
    reason: str = ""
    fault: Fault | None = None
    divergence: Divergence | None = None

    def quality(self) -> dict[str, float]:
        """Fields of ``ArmResult`` on an approximate arm that took every step; none of an exact arm."""
        if (found := self.divergence) is None:
            return {}
        known = {name: getattr(found, name) for name in ("kl_nats", "kl_max_nats", "top1_equal")}
        return {"max_logit_error": found.max_error, "choices": found.rows, **known}

    def diverge(self, oracle_XV: Tensor, logits_XV: Tensor, live_X: Tensor) -> str:
        """Note the logits, [X, V], of an approximate arm at a step; say what is wrong with them, or return "".

        ``live_X`` are the rows that have not ended: of the others nothing is put out.
        """
        if wrong := not_finite(logits_XV):
            return wrong
        assert self.divergence is not None
        self.divergence.add(oracle_XV[live_X], logits_XV[live_X])
        self.max_error = self.divergence.max_error
        return ""

    def fail(self, fault: Fault) -> None:
        """Note that the arm raised an error; it takes no further step."""
        self.reason, self.fault = fault.located, fault


class Turning:
    """Decisions of a search whose beams are fed in another order at each step, so that every step reorders them.

    The beams of a random model may never change places. A strategy that does not reorder them would then pass. So at
    step n each row is fed what the search decided for the beam n rows below it, counted around the W of its sentence.
    """

    def __init__(self, decisions: Searching, beams: int) -> None:
        self._decisions, self._beams, self._turn = decisions, beams, 0

    def choose(self, logits_XV: Tensor) -> Chosen:
        """Choose as the search does from the logits of the rows as they were fed, [X, V]."""
        if self._beams == 1:
            return self._decisions.choose(logits_XV)
        logits_BWV = logits_XV.view(-1, self._beams, logits_XV.shape[-1])
        chosen = self._decisions.choose(logits_BWV.roll(self._turn, 1).flatten(0, 1))
        assert chosen.parent_BW is not None
        before, self._turn = self._turn, (self._turn + 1) % self._beams
        token_BW = chosen.token_X.view_as(chosen.parent_BW).roll(-self._turn, 1)
        return Chosen(token_BW.flatten(), (chosen.parent_BW.roll(-self._turn, 1) - before) % self._beams)


class Fed:
    """The tokens that each row was fed, none of which is fed again before half of those that may be chosen were."""

    def __init__(self, token_B: Tensor, config: ModelConfig) -> None:
        choices = config.vocab_size - len({*config.suppress_ids, *config.begin_suppress_ids})
        self._token_BN, self._most = token_B[:, None], max(1, choices // 2)

    def add(self, chosen: Chosen) -> None:
        """Take the tokens that are fed next. A row has the tokens of the beam that it continues."""
        token_BN = self._token_BN
        if chosen.parent_BW is not None:
            token_BN = token_BN[chosen.parent_X()]
        self._token_BN = torch.cat((token_BN, chosen.token_X[:, None]), 1)[:, -self._most :]

    def forbid(self, logits_BV: Tensor) -> None:
        """Set the logits of these tokens to -inf, in place."""
        logits_BV.scatter_(1, self._token_BN, -torch.inf)


def _leave(session: Session, token_B: Tensor) -> None:
    """Take a step. With beams take three, and reverse their order before each but the first.

    The beams of a sentence are alike at the first step, so what moved of it would not show.
    """
    session.step(token_B)
    for _ in range(min(2, session.max_new - 1) if session.beams > 1 else 0):
        session.select(session.own_BW().flip(1))
        session.step(token_B)


def _difference(
    logits_BV: Tensor, oracle_BV: Tensor, tolerance: float, oracle_to_float32: float = 0.0
) -> tuple[float, str]:
    """(largest error, what is wrong or ""). NaN counts as wrong. The oracle's logits are finite.

    ``oracle_to_float32`` is the oracle's largest error to float32 so far, 0 where no reference judges.
    """
    error_BV = (logits_BV - oracle_BV).abs()
    error = float(error_BV.max())
    by_tolerance = tolerance * max(1.0, float(oracle_BV.abs().max()))
    by_rounding = DIFFERENCE * oracle_to_float32
    if error <= max(by_tolerance, by_rounding):
        return error, ""
    row = int(error_BV.amax(-1).nan_to_num(torch.inf).argmax())
    allowed = f"{by_tolerance:.3g}"
    if by_rounding > by_tolerance:
        allowed = f"{by_rounding:.3g}, which is {DIFFERENCE} times full_recompute's own largest error to float32 so far"
    return error, f"logits of row {row} differ by {error:.3g}, allowed {allowed}"


def check(
    oracle: StrategyArm,
    arms: Sequence[StrategyArm],
    dtype: str,
    decisions: Searching,
    fixed: bool,
    advance: Callable[[StrategyArm], None] = lambda arm: None,
    reference: Reference | None = None,
    as_chosen: bool = False,
) -> list[Agreement]:
    """Decode once, all arms in step with the oracle, and return an ``Agreement`` for each arm.

    ``decisions`` is a search that has just begun. It decides by the oracle's logits, and every arm is fed its tokens
    and, with beams, its parents, in an order that changes from step to step (``Turning``).

    An arm that raises an error or disagrees takes no further step. With ``fixed``, EOS is never chosen, as in timed
    rounds, and no token is fed again before half of the vocabulary was. A model with random weights may choose the same
    token at every step. Then all rows of K and V are alike, and attention gives the same whatever its scores are, so
    that a wrong K or a wrong position would not show. Without ``fixed``, decoding stops once every sentence of the
    oracle has ended. ``advance`` is called after each step of an arm. ``reference`` is that of a cell in low precision,
    where full recompute is the oracle. Once it fails, the tolerance judges alone. With ``as_chosen``, tokens and
    parents are fed as the search chooses them.

    An approximate arm disagrees only if its logits are not finite. Its ``divergence`` leaves rows out that have ended.
    With ``as_chosen`` a row has ended once the oracle finds an end most likely, also where ``fixed`` forbids to choose
    it: what would follow is no text, of which no weights have learnt anything.

    Raises NotFiniteError if the oracle's logits are not finite, whatever the oracle itself raises, and SpoiledError if
    an arm spoils CUDA.
    """
    config = oracle.session.model.config
    likely = without_force(config, oracle.session.model.embedding.weight.device)
    found = [Agreement(divergence=None if arm.strategy.exact else Divergence(likely)) for arm in arms]
    with answering(oracle.label):
        oracle.prefill()
        token_B = oracle.session.first_X
        chosen = Chosen(token_B)
        if reference:
            reference.prefill()
    for arm, agreement in zip(arms, found, strict=True):
        with contained(agreement.fail), answering(arm.label):
            arm.prefill()
            if arm is not oracle:  # a start, then a new one: what an earlier batch left would show
                _leave(arm.session, token_B)
                arm.prefill()
    choose = decisions.choose if as_chosen else Turning(decisions, oracle.session.beams).choose
    fed, live_B = Fed(token_B, config), torch.ones_like(token_B, dtype=torch.bool)
    for k in range(1, oracle.session.max_new + 1):
        with answering(oracle.label):
            oracle.go_on(chosen)
            oracle_BV = oracle.session.step(token_B).float().clone()
            require_finite(oracle_BV, oracle.session.model, oracle.label, k)
        advance(oracle)
        oracle_to_float32 = 0.0
        if reference:
            with answering(oracle.label):
                reference.step(chosen)
                reference.note(oracle, oracle_BV)
                oracle_to_float32 = reference.largest_error(oracle)
            advance(reference.arm)
        for arm, agreement in zip(arms, found, strict=True):
            if agreement.reason or arm is oracle:
                continue
            # A user's strategy may fail in any way: the other arms go on.
            with contained(agreement.fail), answering(arm.label):
                arm.go_on(chosen)
                logits_BV = arm.session.step(token_B).float()
                if agreement.divergence:
                    wrong = agreement.diverge(oracle_BV, logits_BV, live_B)
                else:
                    error, wrong = _difference(logits_BV, oracle_BV, TOLERANCE[dtype], oracle_to_float32)
                    agreement.max_error = error if math.isnan(error) else max(agreement.max_error, error)
                    if reference:
                        reference.note(arm, logits_BV)
                if wrong:
                    agreement.reason = f"step {k}: {wrong}"
            advance(arm)
        if as_chosen:  # before the search forbids the end, or beam search sets aside what has ended
            live_B = live_B & ~is_end(likely.best(oracle_BV, k), config.eos_ids)
        elif fixed:
            fed.forbid(oracle_BV)
        chosen = choose(oracle_BV)
        token_B = chosen.token_X
        live_B = live_B[chosen.parent_X()]
        if not fixed:
            live_B = live_B & ~is_end(token_B, config.eos_ids)
        fed.add(chosen)
        if k == oracle.session.max_new or (not fixed and decisions.has_ended()):
            decisions.finish()
            break
    if reference:
        for arm, agreement in zip(arms, found, strict=True):
            if not agreement.reason and arm.strategy.exact:
                agreement.fp32_ratio = reference.ratio(arm, oracle)
                agreement.reason = disagreement(agreement.fp32_ratio)
    return found
