"""The verb ``compare``: two runs, figure by figure, and an exit code that says whether the second is worse."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from .arguments import Parser
from .config import ConfigError

FORMATS = ("table", "md", "json", "csv")
LEAST_TIME_MARGIN = 0.10
_EPILOG = f"""\
Verdicts are given on deterministic figures (FLOPs, bytes, memory) and on ratios to the baseline strategy of each run.
Times of two runs are not paired: they are shown, and judged only if asked, margin {LEAST_TIME_MARGIN:.0%} or more.
Exit code 1: a deterministic figure grew, or a ratio (with --gate-times: or a time) worsened by more than the margin
with confidence. Runs of other machines or settings are refused.

  python -m suites compare results/reference/cpu results/latest
  python -m suites compare A B --format md --gate-times
"""


def _margin(text: str) -> float:
    try:
        value = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError:
        value = -1.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not allowed; give a share such as 0.05, or 5%")
    return value


def _parser() -> Parser:
    parser = Parser("compare", "Two runs side by side, and whether the second is worse.", _EPILOG)
    add = parser.add_argument
    add("a", type=Path, metavar="A", help="run folder that sets the standard")
    add("b", type=Path, metavar="B", help="run folder that is judged")
    add("--margin", type=_margin, default=0.05, help="by how much a ratio may worsen (5%%)")
    add("--gate-times", action="store_true", help="judge raw times, too")
    add("--time-margin", type=_margin, default=LEAST_TIME_MARGIN, help="by how much a time may worsen (10%%)")
    add("--across-machines", action="store_true", help="allow other machines; times are left out")
    add("--format", choices=FORMATS, default="table", help="what standard output gets (table)")
    add("--dir", type=Path, help="write compare.csv and the plot here (results/<date>_compare)")
    return parser


def main(argv: list[str]) -> int:
    """Compare and print; 0 if nothing is worse, 1 otherwise. Raises ConfigError or ResultsError."""
    try:
        args = _parser().parse_intermixed_args(argv)
    except SystemExit:  # --help has been printed
        return 0
    if args.time_margin < LEAST_TIME_MARGIN:
        raise ConfigError(
            f"compare: --time-margin {args.time_margin:g} is not allowed; times are unpaired, give at least "
            f"{LEAST_TIME_MARGIN:g}"
        )
    if args.gate_times and args.across_machines:
        raise ConfigError("compare: --gate-times and --across-machines: times of two machines say nothing; give one")
    from .comparing.figures import compare_runs
    from .comparing.report import print_comparison
    from .comparing.runs import read_run, require_comparable
    from .folders import make_run_dir
    from .frame import write_frame
    from .plots import comparison
    from .plots.style import save

    a, b = read_run(args.a), read_run(args.b)
    notes = require_comparable(a, b, args.across_machines)
    time_margin = args.time_margin if args.gate_times else None
    found = compare_runs(a, b, args.margin, time_margin, times=not args.across_machines)
    folder = make_run_dir(args.dir, "compare")
    write_frame(folder, "compare", found)
    print_comparison(a, b, found, notes, args.format)
    if (figure := comparison.figure(found, args.margin)) is not None:
        save(figure, folder / "plots", "compare")
    print(f"compare.csv and plot in {folder}", file=sys.stderr)
    return int((found["gate"] == "yes").any())
