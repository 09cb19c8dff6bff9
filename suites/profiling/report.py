"""What ``profile`` prints: three shares first, then tables by range and by operator, then how to open the traces."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path

import pandas as pd
from rich.text import Text

from ..store.folders import from_here
from ..words.console import UNBROKEN, standard_output
from ..words.quantity import quantity
from .diff import Pair, compare, sentence
from .printed import (
    numbers,
    of_strategy,
    print_diff,
    print_key,
    print_operators,
    print_ranges,
    print_steps,
    say,
    steps_of,
)
from .tables import KINDS, percents, step_of
from .trace import ROUNDS, Trace

LARGE_BYTES = 100 * 1024**2
"""Size in bytes above which a trace gets a warning, because viewers become slow."""
BUSY = 0.2
"""Part of the steps off the processor above which others must have been using it. On a GPU, waiting is normal."""
_SHARES = (
    "matrix, other, Python: matrix products (a fused attention whole), other operators, and the rest, Python and "
    "dispatch, in % of the row."
)
_COST = "The profiler lengthens a step as the last table says, mostly under other and Python."
LEGEND = (
    f"share: % of the steps, or of prefill. {_SHARES} self: without what is called inside. memory: allocated by "
    f"operators. {_COST}"
)
CUDA_LEGEND = f"GPU: time of the kernels launched inside. {LEGEND}"
DIFF_LEGEND = f"1 - 2: the difference, under the profiler. {_SHARES} {_COST}"
DIVIDED_LEGEND = f"% of it: of the whole steps' difference. {DIFF_LEGEND}"


def print_report(
    traces: Sequence[Trace], ranges: pd.DataFrame, operators: pd.DataFrame, run_dir: Path, pair: Pair | None
) -> None:
    """Print to standard output. With ``pair``, its two strategies are compared instead of shown one by one."""
    prose, tables = standard_output(), standard_output(UNBROKEN)
    for trace in traces:
        say(tables, shares_line(trace.label, of_strategy(ranges, trace.label)))
    comparison = compare(ranges, pair, {trace.label: trace.unprofiled_s for trace in traces}) if pair else None
    if comparison:
        say(prose, sentence(ranges, comparison))
    for line in [*busy_lines(traces), *blind_lines(traces)]:
        say(prose, line, "yellow")
    names = {trace.label: trace.label for trace in traces}
    if pair and comparison:
        legend = DIVIDED_LEGEND if comparison.divided else DIFF_LEGEND
        names = numbers([*pair, *names])
        prose.print()
        print_key(prose, names)
        print_diff(tables, traces[0], ranges, operators, pair, comparison)
    else:
        legend = CUDA_LEGEND if traces[0].device == "cuda" else LEGEND
        for trace in traces:
            prose.print()
            say(prose, f"{trace.label}, {_where(trace)}", "bold")
            print_ranges(tables, of_strategy(ranges, trace.label), trace.device)
            prose.print()
            say(prose, f"operators of {steps_of(trace)}, by self time")
            print_operators(tables, of_strategy(operators, trace.label), trace.device)
    prose.print()
    say(prose, f"a step without the profiler, median of {ROUNDS} decodes, and with it", "bold")
    print_steps(tables, traces, ranges, names)
    say(prose, legend, "dim")
    prose.print()
    for line in closing_lines(traces, run_dir):
        prose.print(Text(line, style="yellow" if line.startswith("warning") else ""), soft_wrap=True)


def shares_line(label: str, ranges: pd.DataFrame) -> str:
    """Say how much of a decode step is matrix products, other operators, and Python and dispatch."""
    step = step_of(ranges)
    shares = zip(percents([step[kind] for kind in KINDS]), KINDS.values(), strict=True)
    product, other, python = (f"{percent} % {kind}" for percent, kind in shares)
    return f"{label}: a step is {product}, {other}, {python}"


def busy_lines(traces: Sequence[Trace]) -> list[str]:
    """Return a warning for each strategy whose profile was disturbed by other programs."""
    return [
        f"warning: {trace.label} had to wait for a processor in {100 * trace.waited:.0f} % of the profiled time: the "
        "machine is busy with other things; profile again, or give fewer threads"
        for trace in traces
        if trace.device == "cpu" and trace.waited > BUSY
    ]


def blind_lines(traces: Sequence[Trace]) -> list[str]:
    """Return a warning for each strategy on a GPU of which the profiler saw no kernel."""
    return [
        f"warning: torch's profiler saw no kernel of {trace.label} on the GPU, so matrix, other and GPU are 0. One "
        "program alone can watch the GPU: take these times from the other one (Nsight Systems), or profile without it"
        for trace in traces
        if trace.device == "cuda" and not any(call.device_s for call in trace.calls)
    ]


def closing_lines(traces: Sequence[Trace], run_dir: Path) -> list[str]:
    """Say where everything is, how large the traces are, and how to open them."""
    lines = []
    for trace in traces:
        size = trace.path.stat().st_size
        lines.append(f"trace of {trace.label}: {from_here(trace.path)} ({quantity(size, 'B')})")
        if size > LARGE_BYTES:
            lines.append(
                f"warning: this trace is over {quantity(LARGE_BYTES, 'B')}, viewers may fail; profile fewer --steps"
            )
    return [
        *lines,
        "open a trace at https://ui.perfetto.dev, or with",
        f"tensorboard --logdir {shlex.quote(str(run_dir / 'profile'))}",
        "(the extra decodebench[profile] installs TensorBoard; its page needs a network)",
        f"ranges.csv, operators.csv and unprofiled.csv in {from_here(run_dir)}",
    ]


def _where(trace: Trace) -> str:
    return f"prefill and {steps_of(trace)}, on {trace.device}"
