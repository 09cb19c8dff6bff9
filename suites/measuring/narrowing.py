"""What narrower weights change: logits, choices of tokens and, for the embedded model, the phoneme error rate."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch

from strategies import DTYPES, ModelConfig, Session, load_model, parse
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.search.rules import without_force

from ..probes.finite import NotFiniteError, require_finite
from ..settings.cells import Cell
from ..settings.faults import contained
from ..settings.inputs import Inputs
from ..work.capacity import device_memory
from ..work.memory_fit import why_no_room
from .arms import StrategyArm
from .spoiled import answering

STRATEGY = "static_kv"
WORDS = 500
"""Number of held-out words whose phoneme errors are counted, each decoded alone."""


@dataclass(frozen=True)
class Narrowing:
    """The effect of narrower weights in one cell, over all steps and sentences, both models fed the same tokens.

    ``logit_error``: the largest difference of a logit. ``logit_max``: the largest logit. ``choices_equal``: the share
    of steps and sentences at which both models find the same token most likely of those that may be chosen. ``per`` and
    ``per_fp32``: phoneme error rates of the narrow and of the whole model on ``words`` held-out words, with eager
    steps; None unless the model is the embedded one.
    """

    logit_error: float
    logit_max: float
    choices_equal: float
    per: float | None = None
    per_fp32: float | None = None
    words: int = 0


def beside_whole(
    cell: Cell, config: ModelConfig, arms: Sequence[StrategyArm], inputs: Inputs
) -> tuple[EncoderDecoder, dict[str, Any]]:
    """(the cell's model with whole weights, the entries of cell.json that compare the narrower weights with them).

    The entries are narrowings, or the reason why they are not known. Raises NotFiniteError if the whole model's logits
    are not finite.
    """
    whole, memory = load_model(cell.model, DTYPES[cell.dtype], cell.device, cell.seed), device_memory(cell.device)
    padded = inputs.src_mask_BS is not None
    no_room = "".join(why_no_room(config, cell, [parse(STRATEGY)], memory, padded).values())
    if no_room:
        return whole, {"narrowing_reason": no_room}
    found: dict[str, Any] = {}
    with contained(lambda fault: found.update(narrowing_reason=fault.located), NotFiniteError):
        changed = narrowings(arms, whole, inputs, cell.model.source == "pronounce")
        found = {name: dataclasses.asdict(one) for name, one in changed.items()}
    return whole, found


def narrowings(
    arms: Sequence[StrategyArm], whole: EncoderDecoder, inputs: Inputs, spoken: bool
) -> dict[str, Narrowing]:
    """Measure what narrower weights change in the kinds of steps that are timed, compiled and not compiled.

    The first is called ``narrowing_compiled``, the second ``narrowing``; the two round differently. Of the
    arms of each kind, the one that feeds the fewest rows is measured; a kind without arms is left out. ``whole`` and
    ``spoken`` are as in ``narrowing``; phoneme errors are counted once.
    """
    compiled = [arm for arm in arms if arm.strategy.execution == "compiled"]
    others = [arm for arm in arms if arm not in compiled]
    found: dict[str, Narrowing] = {}
    for name, alike in (("narrowing", others), ("narrowing_compiled", compiled)):
        if alike:
            arm = min(alike, key=lambda arm: arm.session.strategy.rows_fed(arm.session.max_new))
            with answering(arm.label):
                found[name] = narrowing(arm.session, whole, inputs, spoken and not found)
    return found


@torch.no_grad()
def narrowing(session: Session, whole: EncoderDecoder, inputs: Inputs, spoken: bool) -> Narrowing:
    """Compare ``session``, of the narrow model, with an eager session of ``whole``, the same model with whole weights.

    Both decode the cell's sources. Each step is fed what ``whole`` finds most likely of the tokens that may
    be chosen, each beam by itself. ``spoken``: count phoneme errors too. Raises NotFiniteError if logits of the whole
    model are not finite.
    """
    oracle = Session(whole, parse(STRATEGY), session.batch, session.src_len, session.max_new, session.beams)
    for each in (oracle, session):
        each.prefill(inputs.source, inputs.src_mask_BS)
    token_B = session.first_X
    likely = without_force(whole.config, token_B.device)
    error = largest = equal = 0.0
    for k in range(1, session.max_new + 1):
        if k > 1:
            for each in (oracle, session):
                each.select(each.own_BW())
        whole_BV, narrow_BV = (each.step(token_B).float().clone() for each in (oracle, session))
        require_finite(whole_BV, whole, "the whole weights", k)
        error = max(error, float((whole_BV - narrow_BV).abs().max()))
        largest = max(largest, float(whole_BV.abs().max()))
        token_B = likely.best(whole_BV, k)
        equal += float((token_B == likely.best(narrow_BV, k)).float().mean())
    found = Narrowing(error, largest, equal / session.max_new)
    if not spoken:
        return found
    from strategies.models.pronounce.evaluate import error_rates

    rates = [error_rates(model, 1, WORDS).per for model in (session.model, whole)]
    return Narrowing(**{**dataclasses.asdict(found), "per": rates[0], "per_fp32": rates[1], "words": WORDS})
