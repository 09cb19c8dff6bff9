"""What it takes to ask for a step's kernels: the same step with next to nothing in its tensors."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache
from statistics import median

import torch

from strategies import DTYPES, ModelConfig, ModelSpec, Session, Strategy, load_model
from strategies.models.encoder_decoder import EncoderDecoder

from ..settings.inputs import Inputs
from ..timing.clock import Clock
from ..timing.one_round import one_round

STEPS = 10
ROUNDS = 3
WIDTH = 8


def shrunk(config: ModelConfig) -> ModelConfig:
    """As many layers and heads, so the same operators in the same order, with the least width and vocabulary."""
    vocabulary = max(config.pad_id, config.start_id, *config.eos_ids) + 2
    return replace(config, d_model=WIDTH, d_kv=WIDTH, d_ff=WIDTH, vocab_size=vocabulary)


@lru_cache(maxsize=1)
def _shrunk_model(config: ModelConfig, dtype: str, device: str) -> EncoderDecoder:
    """One for all strategies of a cell."""
    shape = tuple(asdict(shrunk(config)).items())
    return load_model(ModelSpec("shrunk", "random", shape=shape), DTYPES[dtype], device)


def dispatch_s(
    config: ModelConfig, strategy: Strategy, dtype: str, device: str, clock: Clock, tgt_len: int = STEPS
) -> float:
    """Seconds a decode step of the shrunk model, batch 1, one source token: the median round's mean.

    Python, torch's dispatcher and, on a GPU, the launches: all that does not depend on the width, the batch, or
    (but for strategies that feed the prefix, ten tokens at most) the length. Kernels at their least are in it.
    ``tgt_len``: no more steps than that.
    """
    model = _shrunk_model(config, dtype, device)
    steps = min(STEPS, tgt_len)
    session = Session(model, strategy, 1, 1, steps)
    source = Inputs(torch.full((1, 1), model.config.vocab_size - 1, device=device), None, (1,))
    times_s = []
    for _ in range(1 + ROUNDS):
        one_round(session, source, "fixed", clock)
        marks_s = clock.marks_s()
        times_s.append((marks_s[-1] - marks_s[1]) / steps)
    return median(times_s[1:])
