"""Dispatch: the time that Python and torch take to ask for a step's kernels, measured with very small tensors."""

from __future__ import annotations

from dataclasses import asdict, replace
from functools import lru_cache
from itertools import chain
from statistics import median
from typing import Any

from strategies import DTYPES, ModelConfig, ModelSpec, Session, Strategy, load_model
from strategies.models.config_values import ID_LISTS
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.kernels.linears import use_linear
from strategies.models.sources import placeholder
from strategies.search.begin import begin
from strategies.search.options import Greedy, Search

from ..settings.inputs import Inputs
from ..timing.clock import Clock
from ..timing.one_round import one_round

GREEDY = Greedy()
STEPS = 10
ROUNDS = 3
WIDTH = 8


def shrunk(config: ModelConfig) -> ModelConfig:
    """Shrink a model to width ``WIDTH`` and the smallest vocabulary: its special ids, in their order, and two others.

    A source of features is the smallest, too. Layers and heads stay, a head whose size is odd, and the rules of choice,
    so that the same operators run in the same order.
    """
    singles = {name: getattr(config, name) for name in ("pad_id", "eos_id", "start_id", "forced_eos_id")}
    lists = {name: getattr(config, name) for name in ID_LISTS}
    special = sorted({*singles.values(), *chain.from_iterable(lists.values())} - {None})
    small = {number: place for place, number in enumerate(special)}
    ids: dict[str, Any] = {name: small.get(number) for name, number in singles.items()}
    ids |= {name: tuple(small[number] for number in numbers) for name, numbers in lists.items()}
    return replace(
        config,
        d_model=WIDTH,
        d_kv=WIDTH + config.d_kv % 2,
        d_ff=WIDTH,
        encoder_d_kv=config.encoder_d_kv and WIDTH + config.encoder_d_kv % 2,
        encoder_d_ff=config.encoder_d_ff and WIDTH,
        vocab_size=len(special) + 2,
        src_vocab_size=config.src_vocab_size and len(special) + 2,
        mel_bins=config.mel_bins and 1,
        src_positions=config.src_positions if config.mel_bins is None else 1,
        **ids,
    )


@lru_cache(maxsize=1)
def _shrunk_model(config: ModelConfig, dtype: str, device: str, native: bool) -> EncoderDecoder:
    """The shrunk model, made once for all strategies of a cell."""
    shape = tuple(asdict(shrunk(config)).items())
    model = load_model(ModelSpec("shrunk", "random", shape=shape), DTYPES[dtype], device)
    if native:
        use_linear(model, "panel", 1)
    return model


def dispatch_s(
    config: ModelConfig,
    strategy: Strategy,
    dtype: str,
    device: str,
    clock: Clock,
    tgt_len: int = STEPS,
    search: Search = GREEDY,
    native: bool = False,
) -> float:
    """Measure dispatch in seconds per decode step: the shrunk model, batch 1, a source of one position.

    ``native``: with layers of native code, as ``linear=panel`` runs them. Otherwise torch's kernel multiplies.

    It is the mean over the steps of a round, and the median over ``ROUNDS`` rounds. It holds the time of Python, of
    torch's dispatcher and, on a GPU, of kernel launches, none of which depend on width, batch or length. Kernels are
    in it too, at their smallest; those of strategies that feed the whole prefix have up to ``STEPS`` rows. A round has
    ``STEPS`` steps, or ``tgt_len`` where that is less. With beams these are reordered, and choosing tokens counts too.
    """
    model = _shrunk_model(config, dtype, device, native)
    steps = min(STEPS, tgt_len)
    session = Session(model, strategy, 1, 1, steps, search.width)
    source = Inputs(placeholder(model.config, 1, 1, device), None, (1,))
    times_s = []
    for _ in range(1 + ROUNDS):
        searching = begin(search, model.config, 1, steps, "fixed", source.source.device)
        one_round(session, source, "fixed", clock, searching)
        marks_s = clock.marks_s()
        times_s.append((marks_s[-1] - marks_s[1]) / steps)
    return median(times_s[1:])
