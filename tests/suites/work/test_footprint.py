"""The closed formula of the peak beside the peak that is measured, and that beside torch's profiler."""

import itertools

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from strategies import DTYPES, ModelSpec, Session, Strategy, parse
from strategies.search import loop
from strategies.search.begin import begin
from strategies.search.options import Beam, Greedy, Sample
from suites.probes import peak_memory
from suites.settings.cells import Cell
from suites.work.capacity import predicted_peak_bytes
from tests.command import ROOT
from tests.conftest import ARCHITECTURES

GREEDY = Greedy()
NAMES = [
    "full_recompute",
    "cross_kv",
    "contiguous_kv",
    "contiguous_kv(cross=recompute)",
    "static_kv",
    "static_kv(read=buffer)",
    "static_kv(capacity=32)",
]
SIZES = [(16, 8, 24), (8, 24, 6), (1, 48, 28)]
"""Batch, source and target."""
WIDE = {"d_model": 64, "d_kv": 16, "d_ff": 128, "vocab_size": 200}
TILE_BYTES = 512 << 10
"""What attention's kernel takes for one thread's tile of scores, at most 256 x 512 in float32."""


def sources(batch, src_len, length):
    """Of ``length`` real tokens, and their mask, None where there is no padding."""
    mask_BS = (torch.arange(src_len) < length).expand(batch, -1) if length < src_len else None
    return torch.full((batch, src_len), 2), mask_BS


def decode(model, strategy, given, tgt_len, search=GREEDY):
    session = Session(model, strategy, *given[0].shape, tgt_len, search.width)
    session.prefill(*given)
    searching = begin(search, model.config, len(given[0]), tgt_len, "fixed", given[0].device)
    assert len(list(loop.decode(session, searching, "fixed"))) == tgt_len


def measured_and_predicted(model, strategy, given, tgt_len, dtype="fp32", search=GREEDY):
    with peak_memory("cpu") as memory:
        decode(model, strategy, given, tgt_len, search)
    batch, src_len = given[0].shape
    cell = Cell(ModelSpec("m", "random"), src_len, tgt_len, batch, "cpu", dtype, 1, 0, "fixed", search=search)
    return memory.peak_bytes, predicted_peak_bytes(model.config, cell, strategy, padded=given[1] is not None)


@pytest.mark.parametrize(
    ("name", "architecture", "sizes"),
    [
        (name, architecture, SIZES[(i + j) % len(SIZES)])
        for (i, name), (j, architecture) in itertools.product(enumerate(NAMES), enumerate(ARCHITECTURES))
    ],
)
def test_the_peak_of_memory_is_that_of_the_formula(tiny_model, name, architecture, sizes):
    """Within 2 %; a width at which scalars and single rows no longer count.

    Every strategy with each architecture and with all sizes, and each architecture with all sizes, but no longer all
    three in every combination.
    """
    strategy, model = parse(name), tiny_model(architecture, **WIDE)
    batch, src_len, tgt_len = sizes
    for length in (src_len, src_len - 2):
        found, predicted = measured_and_predicted(model, strategy, sources(batch, src_len, length), tgt_len)
        assert predicted == pytest.approx(found, rel=0.02)


OTHERS = [
    "paged_kv", "paged_kv(block=4)", "doubling_kv", "doubling_kv(first=1)", "quantized_kv", "quantized_kv(bits=4)",
    "quantized_kv(read=buffer)", "sliding_kv", "sliding_kv(window=8,sinks=2)", "pruned_cross_kv",
    "pruned_cross_kv(keep=0.25,observe=1)",
]  # fmt: skip
"""Strategies whose peak may be at another step than the last, or while rows are made anew."""


SEARCHED = [
    *((name, Beam(4)) for name in NAMES),
    *((name, search) for name in OTHERS for search in (GREEDY, Beam(4))),
    ("contiguous_kv(cross_beams=expanded)", Beam(4)),
    ("contiguous_kv(cross=recompute,cross_beams=expanded)", Beam(2)),
    ("static_kv(cross_beams=expanded_once)", Beam(4)),
    ("static_kv(reorder=table)", Beam(4)),
    ("static_kv", Sample()),
]


@pytest.mark.parametrize(
    ("name", "search", "sizes", "architecture"),
    [
        (*searched, sizes, list(ARCHITECTURES)[(i + j) % len(ARCHITECTURES)])
        for (i, searched), (j, sizes) in itertools.product(enumerate(SEARCHED), enumerate(SIZES))
    ],
)
def test_the_peak_of_a_search_is_that_of_the_formula(tiny_model, name, search, sizes, architecture):
    """At most 6 % below and 10 % above: where K/V grow, the formula adds what is not quite alive at once.

    Every strategy and search with all sizes, each with another architecture.
    """
    batch, src_len, tgt_len = sizes
    model, strategy, given = tiny_model(architecture, **WIDE), parse(name), sources(batch, src_len, src_len)
    found, predicted = measured_and_predicted(model, strategy, given, tgt_len, search=search)
    assert 0.94 * found <= predicted <= 1.1 * found


@pytest.mark.parametrize("file", ["blocks_kv", "twice_kv", "pooled_kv", "int8_kv"])
@pytest.mark.parametrize(("batch", "src_len", "tgt_len"), [(16, 8, 24), (8, 12, 20), (4, 8, 34), (2, 8, 100)])
def test_the_peak_of_a_strategy_from_elsewhere_is_that_of_the_formula(file, tiny_model, batch, src_len, tgt_len):
    """At most 6 % below and 10 % above, also where rows that are gathered to be read are declared as copied."""
    made = {"__name__": f"strategies.{file}", "__package__": "strategies"}
    source = (ROOT / f"tests/drop_ins/{file}.py").read_text()
    exec(compile(source.replace("@register", "#"), file, "exec"), made)
    (kind,) = (v for v in made.values() if isinstance(v, type) and issubclass(v, Strategy) and v is not Strategy)
    model, given = tiny_model("t5", **WIDE), sources(batch, src_len, src_len)
    found, predicted = measured_and_predicted(model, kind(), given, tgt_len)
    assert 0.94 * found <= predicted <= 1.1 * found


@pytest.mark.parametrize("search", [Beam(4), Sample(), Sample(top_p=0.9)])
def test_a_large_vocabulary_is_the_peak_of_a_search(search, tiny_model):
    model, given = tiny_model("t5", **{**WIDE, "vocab_size": 20_000}), sources(4, 8, 8)
    found, predicted = measured_and_predicted(model, parse("static_kv"), given, 6, search=search)
    assert predicted == pytest.approx(found, rel=0.03)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize(("dtype", "swap"), [("bf16", 0), ("fp16", 1)])
def test_the_peak_of_narrower_types_is_that_of_the_formula(dtype, swap, layers, tiny_model, architecture):
    """Float16 T5 keeps its residual stream in float32, and norms that are not one kernel compute in float32.

    Each type with both strategies, one of them with one layer and the other with two.
    """
    name = ("full_recompute", "static_kv")[(layers + swap) % 2]
    model = tiny_model(architecture, DTYPES[dtype], encoder_layers=layers, **WIDE)
    for batch, src_len, tgt_len, padding in ((16, 8, 24, 0), (8, 24, 6, 2)):
        given = sources(batch, src_len, src_len - padding)
        found, predicted = measured_and_predicted(model, parse(name), given, tgt_len, dtype)
        assert predicted == pytest.approx(found, rel=0.02), (batch, src_len, tgt_len, padding)


@pytest.mark.parametrize(("dtype", "padding"), [("fp32", 0), ("bf16", 3), ("fp16", 0)])
def test_with_a_long_source_the_profiler_sees_no_more_than_the_peak(dtype, padding, tiny_model, architecture):
    """A score bias that is not contiguous would be copied inside the kernel, for each layer: 1.4 MB here in bf16."""
    model = tiny_model(architecture, DTYPES[dtype], **{**WIDE, "num_heads": 8, "d_kv": 8})
    given, strategy = sources(2, 300, 300 - padding), parse("static_kv")
    found, predicted = measured_and_predicted(model, strategy, given, 5, dtype)
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as profiled:
        decode(model, strategy, given, 5)
    changes = (e.nbytes() for e in profiled.profiler.kineto_results.events() if e.name() == "[memory]")
    peak = max(itertools.accumulate(changes))
    assert found <= peak < found + TILE_BYTES
    assert predicted == pytest.approx(found, rel=0.02)
