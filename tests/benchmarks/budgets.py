"""The budgets of every strategy on tiny models. ``python -m tests.benchmarks.budgets`` rewrites the reviewed file."""

from __future__ import annotations

import sys
from pathlib import Path

import torch

from strategies import ModelSpec, Strategy, load_model, parse, select
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


def guarded() -> list[Strategy]:
    """The core strategies, every store with both cross modes, and the static caches that read their whole buffer."""
    return list(dict.fromkeys([*select("core"), *select("grid"), *map(parse, BUFFERS)]))


def measured(architecture: str, strategy: Strategy) -> dict[str, Budget]:
    """Measure one strategy on one architecture. Returns name in the file -> budget."""
    shape = {**SHAPE, "decoder_layers": 2, **ARCHITECTURES[architecture]}
    spec = ModelSpec(architecture, "random", shape=tuple(sorted(shape.items())))
    cell = Cell(spec, len(SOURCES[0]), 12, len(SOURCES), "cpu", "fp32", 1, 0, "fixed", SOURCES)
    model = load_model(cell.model, seed=cell.seed)
    arm = StrategyArm(strategy, model, make_inputs(cell, model.config), cell)
    return {f"{architecture} {strategy.label}": measure_budget(arm)}


def main() -> None:
    """Measure all budgets, say what changed, and write the file. A damaged file is refused before that."""
    try:
        read(FILE)
    except BudgetError as error:
        sys.exit(f"budgets: {error}")
    torch.set_num_threads(1)
    found: dict[str, Budget] = {}
    for architecture in ARCHITECTURES:
        for strategy in guarded():
            found |= measured(architecture, strategy)
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
