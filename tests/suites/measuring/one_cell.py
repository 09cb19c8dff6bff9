"""A cell of a very small model, and what comes of measuring strategies in it."""

import dataclasses

from strategies import ModelSpec
from suites.contenders.running.lineup import Contenders
from suites.measuring.runner import run_cell
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.words.progress import Progress

SHAPE = {
    "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1, "decoder_layers": 1
}  # fmt: skip
CELL = Cell(ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))), 5, 6, 2, "cpu", "fp32", 1, 0, "fixed")


EVEN = {"vocab_size": 96, "d_model": 64, "num_heads": 2, "d_kv": 32, "d_ff": 64, "encoder_layers": 2,
        "decoder_layers": 2}  # fmt: skip
EVEN_CELL = dataclasses.replace(CELL, model=ModelSpec("even", "random", shape=tuple(sorted(EVEN.items()))))
"""The same with widths that every type of weights takes."""


def measure(strategies, folder, cell=CELL):
    with Progress(1, 1) as progress:
        results = run_cell(cell, strategies, MeasureConfig(rounds=2, warmup=0), folder, progress, Contenders())
    return {result.strategy: result for result in results}
