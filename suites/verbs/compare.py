"""The verb ``compare``: compare two runs figure by figure; the exit code says whether the second is worse."""

from __future__ import annotations

import sys
from pathlib import Path

from ..settings.config import ConfigError
from ..words.quantity import percent
from .arguments import Parser, folder, margin

FORMATS = ("table", "md", "json", "csv")
LEAST_TIME_MARGIN = 0.10
_EPILOG = f"""\
Verdicts are given on deterministic figures (FLOPs, bytes, memory) and on ratios to the baseline strategy of each run.
Times of two runs are not paired: they are shown, and judged only if asked, margin {percent(LEAST_TIME_MARGIN)} or more.
Exit code 1: a deterministic figure grew, or a ratio (with --gate-times: or a time) worsened by more than the margin
with confidence (Holm, over all ratios), or a case that B was to measure is missing. Runs of other machines or settings
are refused.

  python -m suites compare results/before results/after
  python -m suites compare results/before results/latest --format md --gate-times --time-margin 15%
"""


def _parser() -> Parser:
    parser = Parser("compare", "Two runs side by side, and whether the second is worse.", _EPILOG)
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="run folder that sets the standard")
    add("b", type=Path, metavar="B", help="run folder that is judged")
    add("--margin", type=margin, default=0.05, help="by how much a ratio may worsen (5%%)")
    add("--gate-times", action="store_true", help="judge raw times, too")
    add("--time-margin", type=margin, help="with --gate-times: by how much a time may worsen (10%%)")
    add("--across-machines", action="store_true", help="allow other machines; times are left out")
    add("--format", choices=FORMATS, default="table", help="what standard output gets (table)")
    add("--json", dest="format", action="store_const", const="json", help="as --format json")
    add("--dir", type=folder, help="write compare.csv and the plot here (results/<date>_compare)")
    return parser


def main(argv: list[str]) -> int:
    """Compare two runs and print. Returns 0 if nothing is worse, 1 otherwise. Raises ConfigError or ResultsError."""
    args = _parser().parse_intermixed_args(argv)
    if args.time_margin is not None and not args.gate_times:
        raise ConfigError("compare: --time-margin judges nothing without --gate-times; give both, or neither")
    time_margin = (args.time_margin or LEAST_TIME_MARGIN) if args.gate_times else None
    if time_margin is not None and time_margin < LEAST_TIME_MARGIN:
        raise ConfigError(
            f"compare: --time-margin {time_margin:g} is not allowed; times are unpaired, give at least "
            f"{LEAST_TIME_MARGIN:g}"
        )
    if args.gate_times and args.across_machines:
        raise ConfigError(
            "compare: --gate-times and --across-machines exclude each other, as times of two machines are not "
            "comparable; give one"
        )
    from ..plots import comparison
    from ..plots.style import save
    from ..store.folders import from_here, make_run_dir
    from ..store.frame import write_frame
    from ..two_runs.figures import compare_runs
    from ..two_runs.matching import match
    from ..two_runs.report import print_comparison
    from ..two_runs.runs import read_run, require_comparable

    a, b = read_run(args.a), read_run(args.b)
    notes = require_comparable(a, b, args.across_machines)
    matched = match(a, b)
    found, others = compare_runs(a, b, matched, args.margin, time_margin, times=not args.across_machines)
    notes += [*matched.notes, *others]
    folder = make_run_dir(args.dir, "compare", flag="--dir ", beside=("compare.csv", "compare.parquet", "plots"))
    write_frame(folder, "compare", found)
    print_comparison(a, b, found, notes, args.format)
    if (figure := comparison.figure(found, args.margin)) is not None:
        save(figure, folder / "plots", "compare")
    print(f"compare.csv and plot in {from_here(folder)}", file=sys.stderr)
    return int((found["gate"] == "yes").any())
