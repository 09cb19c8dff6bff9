"""The matrix products that the running model asks for, observed in training, in prefill and in chosen steps."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field, replace

import torch
from torch import Tensor

from strategies import Session, Strategy
from strategies.models.costs import CROSS_READ, Product
from strategies.models.encoder_decoder import EncoderDecoder

from ..probes.finite import require_finite
from ..probes.products import record
from ..probes.recording import ProductRecord, Recording, tally
from ..probes.traffic import APPEND, SELECT, store_rows
from ..settings.inputs import Inputs
from .expected import TRAINING, Phase


@dataclass(frozen=True)
class Bytes:
    """Bytes of one product: its first factor, its second factor (a weight, K or V), and its result."""

    input: int
    operand: int
    output: int


@dataclass(frozen=True)
class Recorded:
    """One phase of one strategy: merged products in running order, and the bytes of one product of each role.

    ``k`` is None outside steps. At a step, ``stored`` holds what one layer's self-attention K/V took: bytes read in
    order to move or expand them, and bytes written. ``selected`` are the bytes that all layers wrote when beams were
    reordered before the step, and when keys of the source were dropped, by role.
    """

    strategy: str
    phase: Phase
    k: int | None
    products: list[Product]
    bytes: dict[str, Bytes]
    stored: Bytes | None = None
    selected: Mapping[str, int] = field(default_factory=dict)


def merged(strategy: str, phase: Phase, k: int | None, recording: Recording) -> Recorded:
    """Merge equal products into one with a count, in the order in which each ran first."""
    first: dict[str, ProductRecord] = {}
    for entry in recording.products:
        first.setdefault(entry.product.role, entry)
    counted = tally(recording.products)
    order = {role: place for place, role in enumerate(first)}
    return Recorded(
        strategy,
        phase,
        k,
        sorted(counted, key=lambda product: order[product.role]),
        {r: Bytes(e.input_bytes, e.operand_bytes, e.output_bytes) for r, e in first.items()},
    )


def _stored(recording: Recording) -> Bytes:
    rows = store_rows(recording, APPEND)
    layers = sum(r.product.role == "decoder.self_attn.qkv" for r in recording.products)
    read, written = rows.copied + rows.expanded_read, rows.new + rows.copied + rows.expanded_written
    return Bytes(read // layers, 0, written // layers)


def _selected(recording: Recording) -> dict[str, int]:
    found: Counter[str] = Counter()
    for copy in recording.copies:
        if copy.role in SELECT:
            found[copy.role] += copy.written_bytes
    if kept := store_rows(recording, CROSS_READ).copied:
        found[CROSS_READ] = kept
    return dict(found)


def record_training(model: EncoderDecoder, inputs: Inputs, token_BN: Tensor) -> Recorded:
    """Record the teacher-forced pass over target rows, int64 [B, N], the start token first."""
    with torch.no_grad(), record(model) as recording:
        model(inputs.source, inputs.src_mask_BS, token_BN)
    return merged(TRAINING, "training", None, recording)


def record_decoding(
    model: EncoderDecoder,
    strategy: Strategy,
    inputs: Inputs,
    token_XN: Tensor,
    steps: Collection[int],
    advance: Callable[[], None] = lambda: None,
    beams: int = 1,
) -> Iterator[Recorded]:
    """Record prefill, then each of ``steps`` as it is reached, fed the tokens of ``token_XN``, int64 [X, N].

    X is B * W for W=``beams``. The first step attends k = P keys, for the P tokens of the model's prefix. Between two
    steps every beam goes on from its neighbour, so that all of them move, and that counts to the later step.
    ``advance`` is called after each step, recorded or not. Raises StrategyError or NotFiniteError.
    """
    batch = inputs.batch
    session = Session(model, strategy, batch, inputs.src_len, token_XN.shape[1], beams)
    neighbour_BW = torch.arange(beams, device=token_XN.device).roll(1).expand(batch, -1)
    with record(model) as recording:
        session.prefill(inputs.source, inputs.src_mask_BS)
    yield merged(strategy.label, "prefill", None, recording)
    first = model.config.prefix_len
    for k in range(first, max(steps, default=0) + 1):
        with record(model) if k in steps else nullcontext() as seen:
            if k > first:
                session.select(neighbour_BW)
            logits_XV = session.step(token_XN[:, k - first])
        if seen is not None:
            require_finite(logits_XV, model, strategy.label, k)
            found = merged(strategy.label, "step", k, seen)
            yield replace(found, stored=_stored(seen), selected=_selected(seen))
        advance()
