"""The page on two runs: what changed from the first to the second, and whether anything is worse."""

from __future__ import annotations

from pathlib import Path

from ..store.files import write_text
from ..store.folders import make_run_dir
from ..store.frame import write_frame
from ..two_runs.conclusion import conclusion
from ..two_runs.figures import compare_runs
from ..two_runs.matching import match
from ..two_runs.report import HEADER, UNPAIRED, lines_of
from ..two_runs.runs import RunRead, read_run, require_comparable
from .charts import change, legend_of
from .environment import environment_lines
from .html import render
from .numbers import Column, numbers, varying

MARGIN = 0.05
"""Share by which a figure may worsen: the default of ``compare``."""
SECTIONS = ("verdicts", "table", "environment")
COLUMNS = (
    Column("strategy", "strategy", text=True),
    Column("figure", "figure", text=True),
    Column("a", "first"),
    Column("b", "second"),
    Column("change", "change"),
    Column("change_low", "change, low"),
    Column("change_high", "change, high"),
    Column("verdict", "verdict", text=True),
    Column("batch_size", "batch"),
    Column("src_len", "source"),
    Column("tgt_len", "target"),
)


def write_comparison(first: Path, second: Path, asked: Path | None, across_machines: bool) -> tuple[Path, bool]:
    """Write report.html and compare.csv into ``asked``, or by default into results/<date>_report.

    ``across_machines`` allows runs of different machines, whose times are then not compared. Returns the path of the
    page, and whether any figure is worse. Raises ConfigError if the runs cannot be compared or the folder cannot be
    used, and ResultsError if a run folder is damaged.
    """
    a, b = read_run(first), read_run(second)
    notes = require_comparable(a, b, across_machines)
    matched = match(a, b)
    found, others = compare_runs(a, b, matched, MARGIN, None, times=not across_machines)
    charts = change.charts(found, MARGIN)
    folder = make_run_dir(asked, "report", flag="--dir ", beside=("compare.csv", "compare.parquet", "report.html"))
    write_frame(folder, "compare", found)
    text = render(
        "two.html.jinja",
        numbers(found.fillna({"verdict": ""}), [*COLUMNS, *varying(found)]),
        title=f"{first.resolve().name} and {second.resolve().name}",
        command=f"python -m suites report {a.path} {b.path}",
        contents=[(name, name.capitalize()) for name in (*(["plots"] if charts else []), *SECTIONS)],
        conclusion=conclusion(found),
        notes=[*notes, *matched.notes, *others],
        charts=charts,
        shown=legend_of(charts, "legend"),
        tools=[],
        header=HEADER,
        lines=lines_of(found),
        unpaired=UNPAIRED,
        beside="compare.csv",
        environment=_environments(a, b),
    )
    write_text(folder / "report.html", text)
    return folder / "report.html", bool((found["gate"] == "yes").any())


def _environments(a: RunRead, b: RunRead) -> list[tuple[str, str, str]]:
    left, right = (dict(environment_lines(run.environment)) for run in (a, b))
    return [(name, left.get(name, ""), right.get(name, "")) for name in dict.fromkeys([*left, *right])]
