"""The command behind ``make bench-compare``: rounds of both trees, a table, and an exit code."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

from strategies import Mistake, select
from suites.settings.cells import Cell, make_cell
from suites.settings.config import ConfigError
from suites.settings.effect import PROFILED, refuse_keys
from suites.settings.overrides import compose_jobs, read_overrides
from suites.telling.step_summary import post
from suites.verbs.arguments import Parser, margin, positive

from ..report import markdown
from .child import ChildError, UnfitError
from .measure import BASE, OURS, Row, judge, measure
from .worktree import RevisionError, commit_of, worktree

ROOT = Path(__file__).resolve().parents[3]
MARGIN = 0.05
EPILOG = """\
KEY=VALUE are those of `python -m suites run`, one case; threads is 1 unless given. Exit code 1: a strategy is slower
than the base by more than the margin, with 95 % confidence over the whole table (Holm), or it fails in the working
tree, or the command is mistaken. A base whose packages do not fit is told in one line, with exit code 0: there is
nothing to compare.
"""


def _case(given: list[str]) -> tuple[Cell, list[str]]:
    """Return the cell and the labels of its strategies. Raises ConfigError."""
    if not any(key.startswith("threads=") for key in given):
        given = [*given, "threads=1"]
    overrides = read_overrides(given)
    refuse_keys("bench-compare", overrides.typed, {*PROFILED} - {"measure.stop"}, "flags say how often to measure")
    jobs = compose_jobs(overrides)
    if len(jobs) != 1:
        raise ConfigError(f"{' '.join(given)} makes {len(jobs)} cells; give each key one value")
    cell = make_cell(jobs[0].config)
    return cell, [strategy.label for strategy in select(jobs[0].config.strategies)]


def _text(rows: list[Row], margin: float) -> str:
    """Return the table and the sentences that follow from it."""
    cells = []
    for row in rows:
        if row.ratio is None:
            cells.append([row.strategy, "", "", "", f"not compared ({row.reason})"])
            continue
        interval = f"{row.ratio.low:.3f} to {row.ratio.high:.3f}"
        cells.append([row.strategy, row.phase, f"{row.ratio.value:.3f}", interval, row.verdict])
    table = markdown(["strategy", "phase", "time, base = 1", "95 % interval", "verdict"], cells)
    return f"{table}\n\n{_closing(rows, margin)}"


def _closing(rows: list[Row], margin: float) -> str:
    broken = [row.strategy for row in rows if row.broken]
    slower = [f"{row.strategy} ({row.phase})" for row in rows if row.verdict == "slower"]
    said = [f"Broken in the working tree: {', '.join(broken)}."] if broken else []
    if slower:
        said.append(f"Slower by more than {100 * margin:g}%: {', '.join(slower)}.")
    elif any(row.ratio for row in rows):
        said.append(f"No slowdown beyond {100 * margin:g}% is certain.")
    else:
        said.append("Nothing was compared.")
    return " ".join(said)


def compare(arguments: list[str]) -> int:
    """Measure and print; returns the exit code. Raises ConfigError, RevisionError, ChildError or StrategyError."""
    parser = Parser("bench-compare", __doc__ or "", EPILOG)
    parser.prog = "python -m tests.benchmarks.versus"
    parser.add_argument("base", metavar="BASE", help="the revision to compare with: commit, branch or tag")
    parser.add_argument("case", nargs="*", metavar="KEY=VALUE", help="what to decode, by default the embedded model")
    parser.add_argument("--margin", type=margin, default=MARGIN, help=f"share by which times may grow ({MARGIN})")
    parser.add_argument("--launches", type=positive, default=6, help="pairs of fresh processes, the unit of statistics")
    parser.add_argument("--rounds", type=positive, default=6, help="rounds of each strategy in each process")
    given = parser.parse_args(arguments)
    if given.launches < 2:
        raise ConfigError(f"--launches {given.launches} is not allowed; an interval needs at least 2")
    commit = commit_of(ROOT, given.base)
    cell, labels = _case(given.case)
    with worktree(ROOT, commit) as base:
        trees = {OURS: ROOT, BASE: base}
        try:
            measured = measure(cell, labels, trees, given.launches, given.rounds, _say)
        except UnfitError as error:
            if error.name == OURS:
                raise
            print(f"nothing to compare: {error}; give a later base than {given.base}")
            return 0
    rows = judge(measured, labels, given.margin)
    title = f"Working tree against {given.base} ({commit[:9]})"
    facts = f"{cell.title}, {cell.threads} thread(s), {given.launches} launches of {given.rounds} rounds"
    text = f"{title}: {facts}\n\n{_text(rows, given.margin)}\n"
    print(text)
    post(f"## {text}")
    return int(any(row.verdict == "slower" or row.broken for row in rows))


def _say(text: str) -> None:
    print(text, file=sys.stderr)


def main() -> int:
    """Return 0 or 1 as ``EPILOG`` says, 130 after an interrupt. Mistakes are one line."""
    # A terminated job cleans up like an interrupted one.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return compare(sys.argv[1:])
    except KeyboardInterrupt:
        print("bench-compare: interrupted; the worktree is removed", file=sys.stderr)
        return 130
    except (Mistake, RevisionError, ChildError) as error:
        # A mistake in a flag begins with the command's name already.
        print(f"bench-compare: {str(error).removeprefix('bench-compare: ')}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
