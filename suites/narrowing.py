"""What narrower weights change beside the whole ones: logits, choices and, of the embedded model, phoneme errors."""

from __future__ import annotations

from dataclasses import asdict, dataclass

import torch

from strategies import Session, parse
from strategies.models.encoder_decoder import EncoderDecoder

from .inputs import Inputs

STRATEGY = "static_kv"
WORDS = 500
"""Held-out words whose phoneme errors are counted, each alone."""


@dataclass(frozen=True)
class Narrowing:
    """Of a cell, over all steps and rows, fed the same tokens.

    ``logit_error``: the largest difference of a logit; ``logit_max``: the largest logit; ``choices_equal``: the share
    of steps and rows with the same choice; ``per``, ``per_fp32``: phoneme error rates on so many held-out ``words``,
    None for other models than the embedded one.
    """

    logit_error: float
    logit_max: float
    choices_equal: float
    per: float | None = None
    per_fp32: float | None = None
    words: int = 0


@torch.inference_mode()
def narrowing(narrow: EncoderDecoder, whole: EncoderDecoder, inputs: Inputs, tgt_len: int, spoken: bool) -> Narrowing:
    """Decode the cell's sources by both, each step fed what ``whole`` chose; ``spoken``: count phoneme errors too."""
    batch, src_len = inputs.src_BS.shape
    sessions = [Session(model, parse(STRATEGY), batch, src_len, tgt_len) for model in (whole, narrow)]
    for session in sessions:
        session.prefill(inputs.src_BS, inputs.src_mask_BS)
    token_B = torch.full((batch,), whole.config.start_id, device=inputs.src_BS.device)
    error = largest = equal = 0.0
    for _ in range(tgt_len):
        whole_BV, narrow_BV = (session.step(token_B).float().clone() for session in sessions)
        error = max(error, float((whole_BV - narrow_BV).abs().max()))
        largest = max(largest, float(whole_BV.abs().max()))
        token_B = whole_BV.argmax(-1)
        equal += float((token_B == narrow_BV.argmax(-1)).float().mean())
    found = Narrowing(error, largest, equal / tgt_len)
    if not spoken:
        return found
    from strategies.models.pronounce.evaluate import error_rates

    rates = [error_rates(model, 1, WORDS).per for model in (narrow, whole)]
    return Narrowing(**{**asdict(found), "per": rates[0], "per_fp32": rates[1], "words": WORDS})
