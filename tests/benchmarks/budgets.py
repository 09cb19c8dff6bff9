"""The budgets of every strategy, and of searches, on tiny models.

``python -m tests.benchmarks.budgets`` rewrites the reviewed file.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from strategies import ModelSpec, Strategy, load_model, parse, select
from strategies.search.options import Beam, Greedy, Sample, Search, Stop
from suites.guarding.budget_file import BudgetError, UnknownVersionError, read
from suites.guarding.budgets import Budget, guard, measure_budget, rewrite
from suites.measuring.arms import StrategyArm
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs

FILE = Path(__file__).with_name("budgets.toml")
# All sizes differ, also H*K = 15 from D = 14, and one of the two sources is padded.
SHAPE = {"vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1}
SOURCES = ((5, 6, 7, 8, 9, 10, 11), (12, 13, 14, 15))
ARCHITECTURES = {
    "t5": {"architecture": "t5", "gated": True, "tie_head": False, "scale_head": False, "relative_buckets": 8},
    "transformer2017": {"architecture": "transformer2017"},
}
BUFFERS = ("static_kv(read=buffer)", "static_kv(cross=recompute,read=buffer)")
# The window is shorter than the target, buffers grow, and a block is filled, before its end.
OTHERS = (
    "quantized_kv",
    "quantized_kv(bits=4)",
    "sliding_kv(window=6,sinks=2)",
    "pruned_cross_kv",
    "paged_kv(block=4)",
    "doubling_kv(first=4)",
)


# Of one architecture: what beams and sampling add to a round is the same in both.
SEARCHED = (
    (Beam(num_beams=4), "full_recompute"),
    (Beam(num_beams=4), "full_recompute(cross_beams=expanded)"),
    (Beam(num_beams=4), "contiguous_kv"),
    (Beam(num_beams=4), "contiguous_kv(cross_beams=expanded)"),
    (Beam(num_beams=4), "static_kv"),
    (Beam(num_beams=4), "static_kv(cross_beams=expanded)"),
    (Beam(num_beams=4), "static_kv(reorder=table)"),
    (Beam(num_beams=4), "static_kv(cross_beams=expanded,reorder=table)"),
    (Beam(num_beams=4), "quantized_kv"),
    (Beam(num_beams=4), "sliding_kv(window=6,sinks=2)"),
    (Beam(num_beams=4), "pruned_cross_kv"),
    (Beam(num_beams=4), "paged_kv(block=4)"),
    (Sample(top_k=5, top_p=0.9), "static_kv"),
)


@dataclass(frozen=True)
class Guarded:
    """A round whose work is guarded: a strategy that decodes by a search on a tiny model of an architecture."""

    architecture: str
    strategy: Strategy
    search: Search = Greedy()

    @property
    def name(self) -> str:
        """Its name in the file."""
        kind = {"greedy": "", "beam": f" beam {self.search.width}"}.get(self.search.kind, f" {self.search.kind}")
        return f"{self.architecture} {self.strategy.label}{kind}"

    @property
    def steps(self) -> tuple[int, ...]:
        """The keys that the measured steps attend. At the last step beam search also puts sequences together."""
        return (4, 11, 12) if self.search.kind == "beam" else (4, 12)

    def arm(self, stop: Stop = "fixed") -> StrategyArm:
        """A new arm of it, which decodes 12 tokens, or with ``eos`` at most as many."""
        shape = {**SHAPE, "decoder_layers": 2, **ARCHITECTURES[self.architecture]}
        spec = ModelSpec(self.architecture, "random", shape=tuple(sorted(shape.items())))
        sizes = len(SOURCES[0]), 12, len(SOURCES)
        cell = Cell(spec, *sizes, "cpu", "fp32", 1, 0, stop, SOURCES, search=self.search)
        model = load_model(cell.model, seed=cell.seed)
        return StrategyArm(self.strategy, model, make_inputs(cell, model.config), cell)


def guarded() -> list[Guarded]:
    """The rounds of the file.

    Greedy ones of the core strategies, of every store with both cross modes, of the static caches that read their whole
    buffer, and of the other strategies that ship; then those of ``SEARCHED``.
    """
    strategies = dict.fromkeys([*select("core"), *select("grid"), *map(parse, (*BUFFERS, *OTHERS))])
    greedy = [Guarded(architecture, strategy) for architecture in ARCHITECTURES for strategy in strategies]
    return [*greedy, *(Guarded("t5", parse(label), search) for search, label in SEARCHED)]


def measured(one: Guarded) -> dict[str, Budget]:
    """Measure one of them. Returns name in the file -> budget."""
    return {one.name: measure_budget(one.arm(), one.steps)}


def main() -> None:
    """Measure all budgets, say what changed, and write the file. A damaged file is refused before that."""
    try:
        read(FILE)
    except BudgetError as error:
        sys.exit(f"budgets: {error}")
    torch.set_num_threads(1)
    found: dict[str, Budget] = {}
    for one in guarded():
        found |= measured(one)
    try:
        guard(FILE, found)
        print(f"{FILE.name}: nothing changed")
    except UnknownVersionError:
        print(f"{FILE.name}: torch {torch.__version__} added")
    except BudgetError as error:
        *lines, _ = str(error).splitlines()
        print("\n".join([*lines, f"{FILE.name} is rewritten; have its diff reviewed"]))
    rewrite(FILE, found)


if __name__ == "__main__":
    main()
