"""The verb ``history``: one case over many runs, where its level changed, and a table, plots and CSV of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings.config import ConfigError
from .arguments import Parser, folder, margin

if TYPE_CHECKING:
    from ..many_runs.runs import PastRun

FORMATS = ("table", "json", "csv")
_EPILOG = """\
Follows one case (a strategy in a cell) over runs of many commits: its ratio to the baseline of the same run, its time
end to end and the time of a step. A change of level is told per hardware, with the run since which it holds and what
differs in software from the run before. Nothing is claimed across hardware. Without --cell and --strategy, the case
that most runs measured is taken.

  python -m suites history results
  python -m suites history ci-artifacts --strategy static_kv --cell small_b1_s64
"""


def _parser() -> Parser:
    parser = Parser("history", "One case over many runs, and since when it is slower.", _EPILOG)
    add = parser.add_argument
    add("dirs", type=Path, metavar="DIR", nargs="+", help="run folders, or folders that hold run folders")
    add("--cell", metavar="ID", help="a cell's id, as in table.csv, or a part of it")
    add("--strategy", metavar="NAME", help="the strategy, as in table.csv")
    add("--undisturbed", action="store_true", help="leave out runs whose cell was disturbed")
    add("--level", type=margin, default=0.05, help="chance of any false change, in all series together (5%%)")
    add("--format", choices=FORMATS, default="table", help="what standard output gets (table)")
    add("--json", dest="format", action="store_const", const="json", help="as --format json")
    add("--dir", type=folder, help="write history.csv and the plots here (results/<date>_history)")
    return parser


def main(argv: list[str]) -> int:
    """Print the history, and write its CSV and plots. Raises ConfigError or ResultsError.

    Returns 0, or 1 if a folder that was given does not exist.
    """
    args = _parser().parse_intermixed_args(argv)
    from ..many_runs.history import make_history
    from ..many_runs.report import print_history
    from ..plots import history as plots
    from ..plots.style import save
    from ..store.files import is_folder
    from ..store.folders import from_here, make_run_dir
    from ..store.frame import write_frame

    history = make_history(_read(args.dirs), args.cell, args.strategy, args.undisturbed, args.level)
    out = make_run_dir(args.dir, "history", flag="--dir ", beside=("history.csv", "history.parquet", "plots"))
    write_frame(out, "history", history.rows)
    print_history(history, args.format)
    for quantity in plots.QUANTITIES:
        tested = [hardware for hardware, name in history.changes if name == quantity]
        if (figure := plots.figure(history.rows, quantity, tested)) is not None:
            save(figure, out / "plots", f"history_{quantity}")
    print(f"history.csv and plots in {from_here(out)}", file=sys.stderr)
    return 0 if all(map(is_folder, args.dirs)) else 1


def _read(dirs: list[Path]) -> list[PastRun]:
    """Read all runs; one line on standard error for what is no run or is damaged. Raises ConfigError if none is left.

    The line is the error where nothing else was given.
    """
    from ..many_runs.folders import run_folders
    from ..many_runs.runs import read_past_run
    from ..store.files import ResultsError

    folders, lines = run_folders(dirs)
    runs = []
    for path in folders:
        try:
            runs.append(read_past_run(path))
        except ResultsError as error:
            lines.append(f"{path} is left out: {error}")
    if not runs:
        more = f" (and {len(lines) - 1} more like it)" if len(lines) > 1 else ""
        raise ConfigError(f"history: no run can be read: {lines[0]}{more}")
    for line in lines:
        print(f"decodebench: {line}", file=sys.stderr)
    return runs
