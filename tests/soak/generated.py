"""Run folders of any size with made-up times, written as ``run`` writes them; nothing is measured."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from strategies import ModelSpec, Strategy, config_of, select
from suites.machine.environment import environment
from suites.machine.limits import Limit
from suites.measuring.cell_file import CellFile
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import CellWriter
from suites.store.files import write_json
from suites.store.records import ArmResult, Calibration, Conditions, Round
from suites.store.schema import SCHEMA
from suites.work.forecast import forecast
from suites.work.formulas import role_sums

SHAPE = {
    "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1, "decoder_layers": 1
}  # fmt: skip
CELL = Cell(ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))), 8, 8, 1, "cpu", "fp32", 1, 0, "fixed")
BATCHES = 1, 2, 4, 8
MEMORY = Limit(1 << 34, "this machine's memory")
STEP_S = {"full_recompute": (1e-4, 2e-7)}
"""Seconds of a step: a constant, and what each key adds; ``OTHER_S`` for any other strategy."""
OTHER_S = (9e-5, 2e-8)


def generate(run_dir: Path, cells: int, tgt_len: int, strategies: str, rounds: int = 6) -> None:
    """Write a run folder of ``cells`` cells of ``tgt_len`` steps, over source lengths and batches, without tables."""
    measure, chosen = MeasureConfig(rounds=rounds), select(strategies.split(","))
    planned, machine = list(_cells(cells, tgt_len)), environment()
    for cell in planned:
        _write(run_dir, cell, chosen, measure, machine)
    plan = [{"id": cell.id, "overrides": [], "predicted_work": 1} for cell in planned]
    write_json(run_dir / "run.json", {"schema": SCHEMA, "command": "", "sweep": "sweep", "plan": plan})
    write_json(run_dir / "environment.json", machine)


def _cells(count: int, tgt_len: int) -> Iterator[Cell]:
    for number in range(count):
        src_len, batch = 8 + number // len(BATCHES), BATCHES[number % len(BATCHES)]
        yield replace(CELL, src_len=src_len, tgt_len=tgt_len, batch_size=batch)


def _write(
    run_dir: Path, cell: Cell, strategies: list[Strategy], measure: MeasureConfig, machine: dict[str, Any]
) -> None:
    config, rng = config_of(cell.model), np.random.default_rng([cell.src_len, cell.batch_size])
    writer = CellWriter(run_dir, cell.id)
    writer.environment(machine)
    file = CellFile(writer, cell, measure, [strategy.label for strategy in strategies], [], {})
    file.begin(config, MEMORY)
    expected = forecast(cell, config, strategies, False, 10_000, MEMORY, lambda label, fault: None)
    src_lens = [cell.src_len] * cell.batch_size
    file.write(src_lens=src_lens, real_fraction=1.0, weight_bytes=10_000, linear_choices=[], **expected.written())
    for index in range(-measure.warmup, measure.rounds):
        writer.round(Calibration(index, index < 0, 1e10, 1e11))
        for strategy in strategies:
            writer.round(Round(strategy.label, index, index < 0, True, _marks(strategy.label, cell, rng)))
    writer.conditions(Conditions("rounds", 1.0, 1.0, 1.0, 2, 2, [2500.0], []))
    writer.arms([_result(cell, strategy) for strategy in strategies])


def _marks(label: str, cell: Cell, rng: np.random.Generator) -> list[float]:
    constant, per_key = STEP_S.get(label, OTHER_S)
    steps = (constant + per_key * np.arange(1, cell.tgt_len + 1)) * cell.batch_size**0.5
    gaps = np.concatenate([[cell.src_len * 1e-6], steps]) * np.exp(rng.normal(0, 0.02, cell.tgt_len + 1))
    return [0.0, *np.round(np.cumsum(gaps), 9).tolist()]


def _result(cell: Cell, strategy: Strategy) -> ArmResult:
    return ArmResult(
        strategy.label,
        "ok",
        setup_s=0.01,
        steps=cell.tgt_len,
        row_lens=[cell.tgt_len] * cell.batch_size,
        necessary_flops=1,
        kv_reserved_bytes=1000,
        kv_used_bytes=1000,
        peak_memory_bytes=10_000,
        rss_bytes=1 << 28,
        max_logit_error=0.0,
        tokens_equal=True,
        roles=role_sums(config_of(cell.model), cell, strategy, cell.tgt_len),
        dispatch_s=1e-5,
        execution="eager",
    )
