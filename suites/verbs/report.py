"""The verb ``report``: one HTML page about a run, or about two, that needs no network and no other file."""

from __future__ import annotations

from pathlib import Path

from ..settings.config import ConfigError
from ..store.folders import from_here
from .arguments import Parser, folder

_EPILOG = """\
Writes report.html into DIR, from what the folder holds; run does so at its end. Of two folders it compares the second
with the first, as `compare` does, writes into a folder of its own, and exits with 1 if the second is worse.

  python -m suites report results/latest
  python -m suites report results/before results/after
"""


def _parser() -> Parser:
    parser = Parser("report", "One HTML page of a run, or of two.", _EPILOG)
    parser.add_argument("dirs", type=Path, nargs="*", metavar="DIR", help="one run folder (results/latest), or two")
    parser.add_argument("--across-machines", action="store_true", help="of two: allow other machines, without times")
    parser.add_argument("--dir", type=folder, help="of two: write here (results/<date>_report)")
    return parser


def main(argv: list[str]) -> int:
    """Write the page and print its path. Returns 1 if there are two runs and the second is worse, else 0.

    Raises ConfigError or ResultsError.
    """
    args = _parser().parse_intermixed_args(argv)
    folders = args.dirs or [Path("results/latest")]
    if len(folders) > 2:
        raise ConfigError(f"report: {len(folders)} folders are not allowed; give one, or two to compare")
    if len(folders) == 1:
        if args.across_machines or args.dir:
            raise ConfigError("report: --across-machines and --dir are for two folders; leave them out, or give two")
        from ..reporting.run import write_report
        from .left_told import left_of

        left = left_of(folders[0])
        print(from_here(write_report(folders[0], left.is_open, left.command)))
        return 0
    from ..reporting.two_runs import write_comparison

    path, worse = write_comparison(folders[0], folders[1], args.dir, args.across_machines)
    print(from_here(path))
    return int(worse)
