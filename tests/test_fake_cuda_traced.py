"""What torch's compiler traces of a decode step on fake tensors of the device "cuda": one graph, for any length.

No code for a GPU is generated here: that takes Triton, which a torch built for the CPU lacks, and the properties of a
device.
"""

from __future__ import annotations

import types
from collections.abc import Iterator

import pytest
import torch
from torch.fx.experimental.symbolic_shapes import ShapeEnv, statically_known_true
from torch.nn.functional import scaled_dot_product_attention

from strategies import Session, parse, static_kv
from strategies.models.kernels.compiling import lengthen
from strategies.models.kernels.execution import next_logits
from strategies.models.positions import DistanceTable
from strategies.models.stores import Growing
from tests.fake_cuda import fake_cuda

BATCH, SOURCE, STEPS = 3, 5, 10
"""Lengths around 8, beyond the first multiple of it."""
VARIANTS = {"static_kv(read=bucket)": 3, "contiguous_kv": 3}
"""Buckets of 4, 8 and 10 rows; no earlier key, one, and any larger number."""
OF_BEAMS = {
    **VARIANTS,
    "static_kv(read=bucket,reorder=table)": 3,
    "static_kv(read=bucket,cross_beams=expanded_once)": 3,
    "contiguous_kv(cross_beams=expanded)": 3,
}


class Traced:
    """Stands in for a session's forward: traces each variant of the step once, whole, and keeps the graphs."""

    def __init__(self) -> None:
        self.graphs: list[tuple[torch.fx.GraphModule, list[object]]] = []
        self._variants: dict[int, types.FunctionType] = {}

    def __call__(self, model, token_BT, step, attended):
        if step.variant not in self._variants:
            for store in attended.stores:
                if isinstance(store, Growing):
                    lengthen(store.grow_to(step.length - 1))
            own = types.FunctionType(next_logits.__code__.replace(), next_logits.__globals__, "next_logits")
            compiled = torch.compile(own, fullgraph=True, dynamic=False, backend=self._backend)
            self._variants[step.variant] = compiled
        return self._variants[step.variant](model, token_BT, step, attended)

    def _backend(self, graph, inputs):
        self.graphs.append((graph, inputs))
        return graph.forward

    def lengths(self) -> Iterator[torch.SymInt]:
        """The lengths that graphs take as an input."""
        for _, inputs in self.graphs:
            yield from (one for one in inputs if isinstance(one, torch.SymInt))

    def guards(self) -> list[str]:
        """What must hold of those lengths, else the step would be traced anew."""
        environments: set[ShapeEnv] = {length.node.shape_env for length in self.lengths()}
        return [str(guard.expr) for environment in environments for guard in environment.guards]


def decoded(model, label: str, beams: int = 1) -> Traced:
    """The graphs of every step of a batch, traced."""
    session, traced, rows = Session(model, parse(label), BATCH, SOURCE, STEPS, beams=beams), Traced(), BATCH * beams
    session._forward = traced
    src_BS = torch.zeros(BATCH, SOURCE, dtype=torch.int64, device="cuda")
    session.prefill(src_BS, torch.ones_like(src_BS, dtype=torch.bool))
    parent_BW = torch.zeros(BATCH, beams, dtype=torch.int64, device="cuda")
    for k in range(1, STEPS + 1):
        logits_XV = session.step(parent_BW.flatten())
        assert (logits_XV.device.type, logits_XV.shape) == ("cuda", (rows, model.config.vocab_size))
        if k < STEPS:
            session.select(parent_BW)
    return traced


def masks(graph: torch.fx.GraphModule) -> list[torch.Tensor]:
    """The masks that attention is given."""
    calls = [node for node in graph.graph.nodes if node.target is scaled_dot_product_attention]
    assert calls
    return [call.kwargs["attn_mask"].meta["example_value"] for call in calls if call.kwargs["attn_mask"] is not None]


@pytest.fixture(autouse=True)
def _several_buckets(monkeypatch):
    monkeypatch.setattr(static_kv, "FIRST_BUCKET", 4)
    yield
    torch.compiler.reset()


@pytest.mark.parametrize(
    ("architecture", "label", "beams"),
    [
        *(("t5", label, 1) for label in VARIANTS),
        *(("transformer2017 multi-query", label, 1) for label in VARIANTS),
        *((("t5", "transformer2017 multi-query")[place % 2], label, 2) for place, label in enumerate(OF_BEAMS)),
    ],
)
def test_each_variant_of_a_step_is_one_graph_for_every_length(tiny_model, architecture, label, beams):
    """Without beams of both architectures; beams of them by turns, as reordering knows no architecture."""
    with fake_cuda(tiny_model(architecture, decoder_layers=1)) as model:
        traced = decoded(model, label, beams)
    assert len(traced.graphs) == OF_BEAMS[label]
    assert bool(list(traced.lengths())) == label.startswith("contiguous_kv")
    assert not [guard for guard in traced.guards() if "Mod" in guard]


@pytest.mark.parametrize("label", VARIANTS)
def test_torch_need_not_ask_whether_the_rows_of_a_mask_are_aligned(tiny_model, label):
    """On CUDA it asks whether all strides but the last are multiples of eight, which for a length would be a guard."""
    with fake_cuda(tiny_model("t5", decoder_layers=1)) as model:
        traced = decoded(model, label)
    strides = [stride for graph, _ in traced.graphs for mask in masks(graph) for stride in mask.stride()[:-1]]
    assert strides
    assert not [stride for stride in strides if not statically_known_true(stride % 8 == 0)]


def test_a_step_that_asks_whether_its_length_is_a_multiple_is_found(tiny_model, monkeypatch):
    look_up = DistanceTable.__call__

    def asking(table, query_position_T, key_position_M):
        bias_1HTM = look_up(table, query_position_T, key_position_M)
        return bias_1HTM.contiguous() if key_position_M.shape[0] % 8 == 0 else bias_1HTM.clone()

    monkeypatch.setattr(DistanceTable, "__call__", asking)
    with fake_cuda(tiny_model("t5", decoder_layers=1)) as model:
        traced = decoded(model, "contiguous_kv")
    assert len(traced.graphs) > VARIANTS["contiguous_kv"]
    assert [guard for guard in traced.guards() if "Mod" in guard]
