"""How often a comparison of decoders is right: ``make study``.

With load on another core, one decoder is compared with itself, many times, and with itself made slower by a busy wait
in each step. Samples are kept, one line per comparison, so a study goes on where it was stopped. Two rules judge the
same samples, and ``docs/study.md`` shows how often each of them was right.

- ours: the verdict of ``suites.judging.verdict`` on paired rounds, margin 2 %, fixed before the first sample was taken;
- medians: pytest-benchmark's ``--benchmark-compare-fail=median:5%``, which fails when the second median is more than
  5 % above the first.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import torch
from rich.progress import track
from torch import Tensor

from strategies import ModelSpec, load_model, parse
from suites.machine.environment import cpu_name
from suites.measuring.arms import StrategyArm, collector_set_aside
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from suites.timing.clock import CpuClock

SHAPE = {"d_model": 128, "num_heads": 4, "d_kv": 32, "d_ff": 512, "encoder_layers": 2, "decoder_layers": 2}
MODEL = ModelSpec("t5-2-layers", "random", None, tuple(sorted({**SHAPE, "vocab_size": 1000}.items())))
CELL = Cell(MODEL, 8, 2, 1, "cpu", "fp32", 1, 0, "fixed")
"""The cell. Its rounds are short, because noise that lasts longer than a round affects both arms and cancels."""
SHARES = {0.0: 300, 0.01: 40, 0.02: 40, 0.03: 40, 0.05: 40, 0.10: 40}
"""Slowdown -> number of comparisons."""
COMPARISON_S = 4.6
MARGIN = 0.02


@dataclass(frozen=True)
class Sample:
    """One comparison: end-to-end seconds of each round, the second arm slowed by a wait in each step.

    The wait is ``share`` x (seconds of a round, prefill included / its steps). ``step_s``: median seconds of the last
    step.
    """

    number: int
    share: float
    cpu: str
    step_s: float
    first_s: list[float]
    second_s: list[float]


def plan() -> list[float]:
    """Return the slowdown of each comparison, shuffled, so that a part of the study is itself a study."""
    shares = [share for share, count in SHARES.items() for _ in range(count)]
    random.Random(0).shuffle(shares)
    return shares


def slowed(step: Callable[[Tensor], Tensor], wait_s: float) -> Callable[[Tensor], Tensor]:
    """Return ``step`` followed by a busy wait of ``wait_s`` seconds."""

    def wait(token_B: Tensor) -> Tensor:
        logits_BV = step(token_B)
        end = time.perf_counter() + wait_s
        while time.perf_counter() < end:
            pass
        return logits_BV

    return wait


def compare(first: StrategyArm, second: StrategyArm, step_s: float, share: float, number: int) -> Sample:
    """Run rounds of both arms, in shuffled order, for ``COMPARISON_S`` seconds. ``step_s``: seconds per step."""
    order, clock, last = random.Random(number), CpuClock(), []
    plain = second.session.step
    if share:
        second.session.step = slowed(plain, share * step_s)  # type: ignore[method-assign]
    totals: dict[int, list[float]] = {0: [], 1: []}
    end = time.perf_counter() + COMPARISON_S
    try:
        while time.perf_counter() < end:
            for which in order.sample((0, 1), 2):
                marks_s = (first, second)[which].round(0, True, clock).marks_s
                totals[which].append(marks_s[-1])
                last.append(marks_s[-1] - marks_s[-2])
    finally:
        second.session.step = plain  # type: ignore[method-assign]
    return Sample(number, share, cpu_name(), statistics.median(last), totals[0], totals[1])


def calibrate(arm: StrategyArm) -> float:
    """Seconds per step, prefill included, so that a wait of a share of it slows the whole round by that share."""
    rounds = [arm.round(0, True, CpuClock()).marks_s[-1] for _ in range(30)]
    return sorted(rounds)[len(rounds) // 2] / CELL.tgt_len


def _load() -> None:
    """Keep another core busy with products of matrices that do not fit into its cache."""
    torch.set_num_threads(1)
    matrix = torch.rand(1500, 1500)
    while True:
        matrix = torch.tanh(matrix @ matrix)


def _start_load() -> multiprocessing.Process:
    cores = sorted(os.sched_getaffinity(0))
    load = multiprocessing.get_context("spawn").Process(target=_load, daemon=True)
    if len(cores) > 1:
        os.sched_setaffinity(0, {cores[1]})
        load.start()
        os.sched_setaffinity(load.pid or 0, {cores[1]})
        os.sched_setaffinity(0, {cores[0]})
    else:
        load.start()
    return load


def collect(path: Path, limit: int | None, with_load: bool) -> None:
    """Take the samples that are missing, at most ``limit``, and append each to ``path`` as a line."""
    path.parent.mkdir(parents=True, exist_ok=True)
    _cut_half_a_line(path)
    done = {sample.number for sample in read(path)}
    missing = [number for number in range(len(plan())) if number not in done][:limit]
    torch.set_num_threads(CELL.threads)
    load = _start_load() if with_load else None
    model = load_model(CELL.model)
    inputs = make_inputs(CELL, model.config)
    first, second = (StrategyArm(parse("static_kv"), model, inputs, CELL) for _ in range(2))
    try:
        with collector_set_aside(), path.open("a") as file:
            for number in track(missing, "comparisons"):
                sample = compare(first, second, calibrate(first), plan()[number], number)
                file.write(json.dumps(sample.__dict__) + "\n")
                file.flush()
    finally:
        if load is not None:
            load.kill()


def _cut_half_a_line(path: Path) -> None:
    """Remove a sample that was cut off when the study was killed, lest the next one be appended to it."""
    if path.exists():
        whole = path.read_bytes()
        os.truncate(path, whole.rfind(b"\n") + 1)


def read(path: Path) -> list[Sample]:
    """Return the samples taken so far, without a line that was cut off."""
    if not path.exists():
        return []
    lines = path.read_text().split("\n")[:-1]
    return [Sample(**json.loads(line)) for line in lines]


def main() -> None:
    """Take samples, then write the table and the detection curve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=Path, default=Path("results/study/samples.jsonl"))
    parser.add_argument("--limit", type=int, help="take at most so many now (all that are missing)")
    parser.add_argument("--no-load", action="store_true", help="where other work keeps the other core busy already")
    parser.add_argument("--docs", type=Path, default=Path("docs"), help="where study.md and its picture go")
    args = parser.parse_args()
    collect(args.samples, args.limit, not args.no_load)
    from .study_report import write_report

    write_report(read(args.samples), args.docs)


if __name__ == "__main__":
    main()
