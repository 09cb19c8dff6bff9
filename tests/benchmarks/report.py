"""Tables that people read in a terminal and a CI shows as the summary of its job."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

LIMIT_BYTES = 1_000_000
"""A summary of more than 1 MiB is refused whole."""
CUT = "\n\n(cut here: the summary of a job may hold 1 MB; the log has all of it)\n"


def markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table whose columns line up."""
    safe = [[cell.replace("|", r"\|") for cell in row] for row in (header, *rows)]
    widths = [max(map(len, column)) for column in zip(*safe, strict=True)]
    lines = ["| " + " | ".join(map(str.ljust, row, widths)) + " |" for row in safe]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])


def post(text: str) -> None:
    """Add Markdown to the summary of the CI's job, cut to fit, where $GITHUB_STEP_SUMMARY names its file."""
    name = os.environ.get("GITHUB_STEP_SUMMARY")
    if not name:
        return
    path = Path(name)
    room = LIMIT_BYTES - (path.stat().st_size if path.exists() else 0)
    with path.open("ab") as summary:
        summary.write(fitted(text, room))


def fitted(text: str, room: int) -> bytes:
    """UTF-8 of whole lines, at most ``room`` bytes."""
    whole = f"{text}\n".encode()
    if len(whole) <= room:
        return whole
    kept = whole[: max(0, room - len(CUT.encode()))].rpartition(b"\n")[0]
    return kept + CUT.encode() if len(CUT.encode()) <= room else b""
