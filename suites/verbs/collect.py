"""The verb ``collect``: tables, plots and report of what a run has measured so far, also while its jobs still run."""

from __future__ import annotations

import sys
from pathlib import Path

from ..settings.config import ConfigError
from .arguments import Parser

_EPILOG = """\
  python -m suites collect results/latest

It may be called while jobs still run, and as often as you like. Exit code: 0 if every planned case was measured or
skipped, else 1.
"""


def _parser() -> Parser:
    parser = Parser("collect", "Make tables, plots and report of what a run has measured so far.", _EPILOG)
    parser.add_argument("dir", type=Path, nargs="?", default=Path("results/latest"), help="run folder (results/latest)")
    return parser


def main(arguments: list[str]) -> int:
    """Say how many cells are done, running, failed and missing, and draw what is there.

    Returns 0 if every planned case was measured or skipped, else 1. Raises ResultsError if the folder has no plan.
    """
    run_dir: Path = _parser().parse_args(arguments).dir
    from ..jobs.queue import queued_told, settle_ended
    from ..jobs.slurm import SlurmError
    from ..jobs.states import standing
    from ..store.schema import read_run_entry
    from .collected import collect

    run_dir = run_dir.resolve()
    run = read_run_entry(run_dir)
    try:
        queued = settle_ended(run_dir)
    except SlurmError as error:  # what is there can be collected
        print(f"decodebench: {error}", file=sys.stderr)
        queued = {}
    now = standing(run_dir)
    print(now.told() + queued_told(queued))
    if not now.begun:
        raise ConfigError(f"no cell of {run_dir} was begun, so there is nothing to collect yet; try again later")
    return collect(run_dir, plots=run.get("plots", True), report=run.get("report", True))
