"""The summary of a CI job: Markdown, appended to the file that $GITHUB_STEP_SUMMARY names, if it is set."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..tables.groups import groups
from ..words.comparison import baseline_told
from ..words.markdown import literal, pipe_table
from ..words.quality import is_approximate
from .advice.approximate import exact_error
from .advice.rows import cases
from .legend import legend
from .ranking import COLUMNS, ranked, title_of
from .summary import failures

LIMIT_BYTES = 1_000_000
"""Greatest size of the file of the summary. GitHub refuses the whole summary of a job if it is larger than 1 MiB."""
CUT = "\n\n(cut here: the summary of a job may hold 1 MB; the log has all of it)\n"


def markdown_summary(table: pd.DataFrame, advice: Sequence[str], margin: float) -> str:
    """Write the ranked tables of a run, what failed, and the advice, whose indents become levels of a nested list."""
    parts = []
    for rows in groups(table):
        lines = [
            [place, *ranked(row, exact_error(cell))]
            for place, cell in cases(rows)
            for row in sorted(cell, key=is_approximate)
        ]
        parts += [f"### {literal(title_of(rows, table))}", pipe_table(["case", "strategy", *COLUMNS], lines)]
    parts.append("\n".join(f"- {literal(line)}" for line in failures(table)))
    if base := baseline_told(table["baseline"]):
        parts.append(legend(base, margin, table["e2e_beyond"].max()))
    indents = [len(line) - len(line.lstrip()) for line in advice]
    parts.append("\n".join(f"{' ' * indent}- {line.strip()}" for indent, line in zip(indents, advice, strict=True)))
    return "\n\n".join(filter(None, parts))


def post(text: str) -> None:
    """Append Markdown to the job's summary, cut to fit. Without $GITHUB_STEP_SUMMARY this does nothing."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    path = Path(name)
    try:
        room = LIMIT_BYTES - (path.stat().st_size if path.exists() else 0)
        with path.open("ab") as summary:
            summary.write(fitted(text, room))
    except OSError as error:  # the run must not fail for lack of a summary
        print(
            f"$GITHUB_STEP_SUMMARY={name} cannot be written ({error.strerror}); the job has no summary", file=sys.stderr
        )


def fitted(text: str, room: int) -> bytes:
    """Encode ``text`` as UTF-8 in at most ``room`` bytes. A longer text is cut after a whole line, and says so."""
    whole = f"{text}\n".encode()
    if len(whole) <= room:
        return whole
    kept = whole[: max(0, room - len(CUT.encode()))].rpartition(b"\n")[0]
    return kept + CUT.encode() if len(CUT.encode()) <= room else b""
