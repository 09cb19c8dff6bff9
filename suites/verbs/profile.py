"""The verb ``profile``: where the time of a decode step goes, by torch's profiler with named ranges."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings.config import ConfigError
from .arguments import Parser, positive

if TYPE_CHECKING:
    from strategies import Strategy

    from ..measuring.arms import StrategyArm
    from ..profiling.trace import Trace
    from ..settings.cells import Cell

STEPS = 4
_EPILOG = """\
The first line says how much of a step is matrix products, other operators, and Python and dispatch; tables by range
and by operator follow, and a trace for Perfetto or TensorBoard is written to results/<date>_profile/. KEY=VALUE are
the keys of run (see run --help) for one cell; measure.* has no part in it.

  python -m suites profile "strategies=[static_kv]"
  python -m suites profile --diff full_recompute static_kv model=small seq_len=128
  python -m suites profile "strategies=[full_recompute,'static_kv(read=buffer)']" --at 1 --steps 2
  python -m suites profile search=beam --diff contiguous_kv "contiguous_kv(cross_beams=expanded)"
"""


def _parser() -> Parser:
    parser = Parser(
        "profile", "Where the time of a decode step goes: a trace, and tables by range and operator.", _EPILOG
    )
    add = parser.add_argument
    add("overrides", nargs="*", metavar="KEY=VALUE", help="model, strategies, lengths and so on, as for run")
    add("--diff", nargs=2, metavar=("A", "B"), help="set two strategies side by side and say where the time went")
    add("--steps", type=positive, metavar="N", help=f"decode steps to profile ({STEPS})")
    add("--at", type=positive, metavar="K", help="the first of them, k from 1 (so that the last is the target's end)")
    return parser


def step_range(at: int | None, steps: int | None, tgt_len: int) -> range:
    """Return the k of the steps to profile, by default the last few. Raises ConfigError for steps beyond ``tgt_len``.

    >>> step_range(None, None, 64), step_range(1, 2, 64)
    (range(61, 65), range(1, 3))
    """
    count = steps or min(STEPS, tgt_len - (at or 1) + 1)
    first = tgt_len - count + 1 if at is None else at
    if count > tgt_len or (at is not None and at > tgt_len):
        name, value = ("--at", at) if count <= tgt_len else ("--steps", steps)
        raise ConfigError(
            f"{name} {value} is not allowed with tgt_len={tgt_len}; give at most {tgt_len}, or a larger tgt_len"
        )
    if first + count - 1 > tgt_len:
        raise ConfigError(
            f"--at {at} with --steps {count} ends at step {first + count - 1}, beyond tgt_len={tgt_len}; "
            f"give --at {tgt_len - count + 1} or less, or a larger tgt_len"
        )
    return range(first, first + count)


def _pair(names: Sequence[str], chosen: Sequence[Strategy]) -> tuple[str, str]:
    """Return the labels of the two strategies of ``--diff``. Raises ConfigError."""
    from strategies import parse

    first, second = (parse(name).label for name in names)
    if first == second:
        raise ConfigError(f"--diff {first} {second} is one strategy; give two that differ")
    labels = [strategy.label for strategy in chosen]
    for label in (first, second):
        if label not in labels:
            raise ConfigError(f"--diff names {label}, which is not among strategies={','.join(labels)}; add it there")
    return first, second


def main(argv: list[str]) -> int:
    """Profile, write and print; returns 0. Raises ConfigError, StrategyError or ModelError."""
    args = _parser().parse_intermixed_args(argv)
    # Unless these are set before torch is imported, the tracer writes to standard error when it starts and stops, and
    # about memory that is older than the profile.
    os.environ.setdefault("KINETO_LOG_LEVEL", "6")
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")

    from ..settings.effect import PROFILED, refuse_keys
    from ..settings.overrides import compose_jobs, read_overrides

    overrides = read_overrides(args.overrides)
    refuse_keys("profile", overrides.typed, PROFILED, "it looks at the steps of one decoding")
    jobs = compose_jobs(overrides)
    if len(jobs) != 1 or overrides.sweep:
        raise ConfigError(
            f"profile takes one cell, not a sweep of {len(jobs)}; give each key one value, "
            "and several strategies as a list: strategies=[static_kv,contiguous_kv]"
        )
    config = jobs[0].config

    from strategies import parse, select

    from ..settings.cells import make_cell
    from ..settings.executions import require_eager
    from ..settings.obstacles import refuse_idle_beams, require_possible
    from ..store.files import write_json, write_text
    from ..store.folders import make_run_dir
    from ..telling.beforehand import told

    given = "strategies" in overrides.typed
    strategies = [parse(name) for name in args.diff] if args.diff and not given else select(config.strategies)
    require_eager("profile", strategies, config)
    pair = _pair(args.diff, strategies) if args.diff else None
    cell = make_cell(config)
    require_possible(cell)
    refuse_idle_beams([(cell, strategies)])
    steps = step_range(args.at, args.steps, cell.tgt_len)
    _check_run_dir(overrides.run_dir)
    arms = prepare(cell, strategies)
    run_dir = make_run_dir(overrides.run_dir, "profile")
    for line in told([config], measures=False):
        print(line, file=sys.stderr)
    write_text(run_dir / "config.yaml", _as_run(jobs[0].yaml, cell, strategies))
    traces = profile(cell, arms, steps, run_dir)

    import pandas as pd

    from ..machine.environment import environment
    from ..profiling.report import print_report
    from ..profiling.tables import operator_table, range_table, unprofiled_table, write_tables

    write_json(run_dir / "environment.json", environment())
    ranges = pd.concat([range_table(trace) for trace in traces], ignore_index=True)
    operators = pd.concat([operator_table(trace) for trace in traces], ignore_index=True)
    write_tables(run_dir, ranges, operators, unprofiled_table(traces))
    print_report(traces, ranges, operators, run_dir, pair)
    return 0


def _check_run_dir(asked: Path | None) -> None:
    """Raise ConfigError if the folder is a measured run: its configuration and environment would be overwritten."""
    from ..store.folders import from_here

    if asked is not None and (asked / "run.json").exists():
        raise ConfigError(
            f"run folder {from_here(asked)} holds the run.json of a measured run, which a profile would overwrite in "
            "part; choose another by hydra.run.dir=DIR"
        )


def _as_run(yaml: str, cell: Cell, strategies: Sequence[Strategy]) -> str:
    """Return the configuration as YAML, with the values that were profiled instead of ``core``, ``auto`` and null."""
    from omegaconf import OmegaConf

    settings = OmegaConf.to_container(OmegaConf.create(yaml))
    assert isinstance(settings, dict)
    settings.pop("measure", None)  # a profile does not use it
    labels = [strategy.label for strategy in strategies]
    settings |= {"strategies": labels, "device": cell.device, "threads": cell.threads}
    return OmegaConf.to_yaml(OmegaConf.create(settings))


def prepare(cell: Cell, strategies: Sequence[Strategy]) -> list[tuple[StrategyArm, StrategyArm]]:
    """Make two arms of each strategy, one for its steps and one for its prefill.

    Raises ConfigError if there is no room, ModelError or StrategyError for what cannot be built, NotFiniteError if the
    logits of a strategy are not finite.
    """
    import torch

    from strategies import config_of

    from ..measuring.arms import StrategyArm
    from ..measuring.equality import check
    from ..measuring.loaded import loaded
    from ..settings.faults import blamed
    from ..settings.inputs import make_inputs
    from ..work.memory_fit import require_room

    require_room("profile", config_of(cell.model), cell, strategies, False, "give a smaller model, batch or length")
    torch.set_num_threads(cell.threads)
    model, _ = loaded(cell, compiled=False)
    inputs = make_inputs(cell, model.config)
    pairs = []
    for strategy in strategies:
        with blamed(strategy.label):
            pair = StrategyArm(strategy, model, inputs, cell), StrategyArm(strategy, model, inputs, cell)
            check(pair[0], [], cell.rounding, pair[0].search(), fixed=True)
            pairs.append(pair)
    return pairs


def profile(cell: Cell, arms: Sequence[tuple[StrategyArm, StrategyArm]], steps: range, run_dir: Path) -> list[Trace]:
    """Profile the steps of the strategies, and write their traces to ``run_dir``/profile/."""
    from ..profiling.trace import DECODES, traces
    from ..words.progress import Progress

    with Progress(len(arms) * DECODES, 1) as progress:
        progress.cell(cell.title)
        return traces(arms, cell.device, steps, run_dir / "profile", cell.seed, lambda: progress.advance(1))
