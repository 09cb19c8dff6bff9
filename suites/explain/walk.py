"""Decode one phrase with a KV cache, step by step, and compare with the teacher-forced pass over the same tokens."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor

from strategies import Session, Strategy, greedy
from strategies.models.encoder_decoder import EncoderDecoder

from ..probes.finite import require_finite
from ..probes.products import record
from ..store.files import read_json, write_json

SHOWN = 3
"""Number of candidate tokens that are listed for each step."""


@dataclass(frozen=True)
class Candidate:
    """A token with its logit in a step with a cache, and its logit in the same row of the teacher-forced pass."""

    token: str
    logit: float
    teacher_logit: float


@dataclass(frozen=True)
class StepSeen:
    """One decode step: the tokens fed and chosen, and the rows of self-attention K/V in one layer before and after.

    ``k`` is the number of keys that the step attends: P at the first one, after a prefix of P tokens.
    """

    k: int
    fed: str
    chosen: str
    rows_before: int
    rows_after: int
    candidates: Sequence[Candidate]


@dataclass(frozen=True)
class Walk:
    """The decoding of a whole phrase.

    ``fed_N``: the token ids that the steps were fed. ``difference``: the largest difference between the logits of a
    step and its teacher-forced row. ``cross_kept``: whether the cross-attention of each layer read its K and V at the
    same addresses in every step. ``checkpoint``: the name of the folder whose model decoded, "" for the embedded one.
    ``prefix``: the tokens with which every target is forced to begin, the start token first. ``given``: the keys that
    the user typed for the model besides its folder, as they are typed.
    """

    source: Sequence[str]
    output: Sequence[str]
    fed_N: Sequence[int]
    ended: bool
    steps: Sequence[StepSeen]
    difference: float
    cross_kept: bool
    checkpoint: str = ""
    prefix: Sequence[str] = ()
    given: Sequence[str] = ()


def write_walk(walk: Walk, folder: Path) -> None:
    """Write walk.json, from which the page can be made again."""
    write_json(folder / "walk.json", dataclasses.asdict(walk))


def read_walk(folder: Path) -> Walk:
    """Read what ``write_walk`` wrote. Raises ResultsError."""
    content = read_json(folder / "walk.json")
    steps = [
        StepSeen(**{**step, "candidates": [Candidate(**c) for c in step["candidates"]]}) for step in content["steps"]
    ]
    return Walk(**{**content, "steps": steps})


def show(token: str) -> str:
    """Return a token as text, with words for a space and for nothing, and escapes for what could not be seen.

    >>> show(" "), show("AH0"), show("\\n"), show("")
    ('(space)', 'AH0', '\\\\n', '(nothing)')
    """
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in token)
    return "(space)" if token == " " else escaped or "(nothing)"


def walk(model: EncoderDecoder, strategy: Strategy, ids: Sequence[int], limit: int, word: Callable[[int], str]) -> Walk:
    """Decode token ids (EOS last) greedily with ``strategy``, at most ``limit`` tokens. Raises NotFiniteError.

    ``word`` spells a single token.
    """
    src_BS = torch.tensor([ids])

    def name(token_id: int) -> str:
        return show(word(token_id))

    session = Session(model, strategy, 1, len(ids), limit)
    session.prefill(src_BS)
    chosen_N = [int(token_B) for token_B in greedy(session)]
    prefix = model.config.prefix
    fed_N = [prefix[-1], *chosen_N[:-1]]
    with torch.no_grad():
        teacher_NV = model(src_BS, None, torch.tensor([[*prefix[:-1], *fed_N]]))[0, len(prefix) - 1 :]
    session.prefill(src_BS)
    steps, addresses, logits = [], [], []
    row_bytes = _row_bytes(model)
    for place, (fed, chosen) in enumerate(zip(fed_N, chosen_N, strict=True)):
        k, teacher_V = len(prefix) + place, teacher_NV[place]
        before = session.nbytes.self_used // row_bytes
        with record(model) as recording:
            logits_V = session.step(torch.tensor([fed]))[0].clone()
        for found_V, label in ((teacher_V, "the teacher-forced pass"), (logits_V, strategy.label)):
            require_finite(found_V[None], model, label, k)
        logits.append(logits_V)
        addresses.append(
            [
                r.operand_address
                for r in recording.products
                if r.product.role.startswith("decoder.cross_attn.") and r.product.is_attention
            ]
        )
        after = session.nbytes.self_used // row_bytes
        steps.append(StepSeen(k, name(fed), name(chosen), before, after, _candidates(logits_V, teacher_V, name)))
    logits_NV = torch.stack(logits)
    return Walk(
        source=[name(i) for i in ids],
        output=[name(i) for i in chosen_N],
        fed_N=fed_N,
        ended=chosen_N[-1] in model.config.eos_ids,
        steps=steps,
        difference=float((logits_NV - teacher_NV).abs().max()),
        cross_kept=all(places == addresses[0] for places in addresses),
        prefix=[name(i) for i in prefix],
    )


def _row_bytes(model: EncoderDecoder) -> int:
    """Bytes of one row of K and V in all layers, for batch size 1."""
    config = model.config
    return 2 * config.kv_inner * config.decoder_layers * model.embedding.weight.element_size()


def _candidates(logits_V: Tensor, teacher_V: Tensor, name: Callable[[int], str]) -> list[Candidate]:
    best = logits_V.topk(SHOWN).indices.tolist()
    return [Candidate(name(i), float(logits_V[i]), float(teacher_V[i])) for i in best]
