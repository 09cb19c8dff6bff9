"""One strategy beside its baseline, printed: no shape is broken inside its brackets, however narrow the terminal."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from rich.text import Text

from ..words.console import standard_output
from ..words.markdown import pipe_table
from .beside import ONCE, Beside, headline, legend, note, pieces, table
from .column import letters

STYLES = {"step": "bold magenta", "sentence": "cyan", "": ""}
"""Style of the letters that grow with the step, of those that grow with the sentence, and of the others."""
GAP = 2
"""Columns between two entries of a row."""


def print_beside(found: Beside, k: int, title: str, form: str) -> None:
    """Print to standard output; ``form`` is "table" or "md"."""
    sheet = table(found, k)
    if form == "md":
        parts = [f"**{headline(found)}**", pipe_table(sheet.header, sheet.rows), legend(found, title)]
        sys.stdout.write("\n\n".join([*parts, note(found)]) + "\n")
        return
    console = standard_output(80)
    console.print(Text(headline(found), style="bold"))
    console.print()
    for line in lines(sheet.header, sheet.rows, console.width):
        console.print(line, soft_wrap=True)
    console.print(Text(legend(found, title), style="dim"))
    if console.color_system is None or console.no_color:
        console.print(Text(note(found), style="dim"))
        return
    sentence = " or ".join(letter for letter in ("S", "C") if letter in letters(found.rows))
    words = (("In color: what grows with ", ""), ("k", "step"), (" or with ", ""), (sentence, "sentence"), (". ", ""))
    console.print(Text.assemble(*((text, STYLES[kind] or "dim") for text, kind in words), (note(found), "dim")))


def lines(header: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> list[Text]:
    """Lines of the table, at most ``width`` columns wide if the words allow it.

    The first of these that fits is taken: every column; all but the baseline's numbers; the same with each shape on
    two lines, broken between its factors; the same without the baseline.
    """
    for count, broken in ((len(header), False), (4, False), (4, True), (3, True)):
        below = [[_factors(cell, broken) for cell in row[:count]] for row in rows]
        widths = [max(len(line) for row in below for line in row[place]) for place in range(min(count, len(header)))]
        head = [_factors(name, len(name) > width) for name, width in zip(header, widths, strict=False)]
        widths = [max(width, *map(len, name)) for width, name in zip(widths, head, strict=True)]
        if sum(widths) + GAP * (len(widths) - 1) <= width:
            break
    out = _laid_out([[Text(line, style="bold") for line in name] for name in head], widths)
    for row in rows:
        out += _laid_out([_styled(row, place, broken) for place in range(len(widths))], widths)
    return out


def _laid_out(cells: Sequence[Sequence[Text]], widths: Sequence[int]) -> list[Text]:
    """Lines of a row whose entries may have several lines each."""
    out = []
    for line in range(max(map(len, cells))):
        text = Text()
        for cell, width in zip(cells, widths, strict=True):
            part = cell[line] if line < len(cell) else Text()
            text.append_text(part).append(" " * (width + GAP - len(part)))
        text.rstrip()
        out.append(text)
    return out


def _factors(cell: str, broken: bool) -> list[str]:
    """The lines of an entry: it is broken before its last words, and a shape between its factors alone."""
    if not broken:
        return [cell]
    if cell.startswith("["):
        first, times, second = cell.partition(" x ")
        return [f"{first} x", second] if times else [cell]
    for mark in (" = ", " at ", " before ", "("):
        if mark in cell:
            first, _, second = cell.partition(mark)
            return [first, f" {mark.lstrip()}{second}"]
    return [cell]


def _styled(row: Sequence[str], place: int, broken: bool) -> list[Text]:
    """The lines of one entry, with styles for what grows. Numbers stand to the right of their letters."""
    cell = row[place]
    if cell == ONCE:
        return [Text(part, style="dim") for part in _factors(cell, broken)]
    lettered = row[place if place % 2 else place - 1] if place else ""
    if not cell.startswith("[") or not lettered.startswith("["):
        return [Text(part) for part in _factors(cell, broken)]
    text = Text.assemble(*((part, STYLES[kind]) for part, kind in pieces(cell, lettered)))
    if not broken or " x " not in cell:  # entries of a table that are copied are one factor
        return [text]
    cut = cell.index(" x ") + 2
    return [text[:cut], text[cut + 1 :]]
