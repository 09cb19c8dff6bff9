"""Tiny arms whose last steps are profiled, and what the probe records of them."""

from functools import cache

from strategies import greedy, parse
from suites.probes import record
from suites.profiling.trace import traces
from suites.settings.cells import make_cell
from suites.settings.config import RunConfig
from suites.verbs import profile as verb

CORE = ["full_recompute", "cross_kv", "contiguous_kv", "static_kv"]
STEPS = range(3, 6)
ENCODER_LAYERS, DECODER_LAYERS = 1, 2
ARCHITECTURES = ["t5", "transformer2017"]
TRACED = [(label, architecture) for label in CORE for architecture in ARCHITECTURES]
PARTS = ("self_attn", "cross_attn", "ffn", "lm_head")


@cache
def arms_of(label, architecture="t5"):
    """Two arms of a strategy on a tiny model, and their cell."""
    model = {
        "name": "sliver",
        "source": "random",
        "architecture": architecture,
        "vocab_size": 29,
        "d_model": 14,
        "num_heads": 3,
        "d_kv": 5,
        "d_ff": 22,
        "encoder_layers": ENCODER_LAYERS,
        "decoder_layers": DECODER_LAYERS,
    }
    cell = make_cell(RunConfig(model=model, src_len=7, tgt_len=STEPS[-1], batch_size=2, device="cpu", threads=1))
    return verb.prepare(cell, [parse(label)])[0]


def trace(arm, spare, folder):
    """The profile of one strategy's last steps."""
    (done,) = traces([(arm, spare)], "cpu", STEPS, folder, 0, lambda: None)
    return done


def recorded(arm, k):
    """The matrix products of step ``k``, as the probe records them."""
    arm.prefill()
    tokens = greedy(arm.session, "fixed")
    for _ in range(k - 1):
        next(tokens)
    with record(arm.session.model) as recording:
        next(tokens)
    return recording.products
