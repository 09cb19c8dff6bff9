"""Lines on what a search found and did: phoneme errors by number of beams, beams that moved, and ties."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from ..settings.search import search_from
from ..store.cell_folder import CellResult
from ..words.labels import listed
from ..words.quantity import counted
from ..words.search_told import is_beam, search_told
from .choices_told import case_told

NAMED = 6
"""Greatest number of cells that a line names one by one."""


def quality_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line for each kind of search, type of weights and length of phrases: the phoneme error by beams.

    It is that of exact strategies.
    """
    found: dict[tuple[str, ...], dict[int, float]] = {}
    words: dict[str, int] = {}
    lines = []
    for done in cells:
        cell, search = done.cell, search_from(done.cell.get("search"))
        if reason := cell.get("phoneme_error_reason"):
            lines.append(f"{case_told(done)}: the phoneme error is not known: {reason}")
        if (error := cell.get("phoneme_error")) is not None:
            phrase = cell.get("phoneme_error_phrase", 1)
            phrases = f" in phrases of {phrase}" if phrase > 1 else ""
            kind = f"{cell['dtype']}", cell.get("weights") or "", cell.get("linear", "torch"), search_told(search)
            found.setdefault((phrases, *kind), {}).setdefault(search.width, error)
            words[phrases] = cell.get("phoneme_error_words", 0)
    kinds = {key[1:] for key in found}
    for (phrases, dtype, weights, linear, search_name), errors in found.items():
        named = f"{phrases}{f', {weights or dtype}, {linear}, {search_name}' * (len(kinds) > 1)}"
        with_beams = {beams: f" with {counted(beams, 'beam')}" * is_beam(search_name) for beams in errors}
        rates = listed([f"{100 * rate:.2f} %{with_beams[beams]}" for beams, rate in sorted(errors.items())])
        lines.append(f"phoneme error on {words[phrases]} held-out words{named}: {rates}")
    return lines


def moved_told(cells: Sequence[CellResult]) -> list[str]:
    """Say in which share of rows another beam was continued, so that a cache had to move; nothing without beams.

    Of many cells, the line has the least and the greatest share.
    """
    shares = [(done.cell["moved_share"], done) for done in cells if _moves(done.cell)]
    if not shares:
        return []
    if len(shares) == 1:
        return [f"In {_percent(shares[0][0])} of rows another beam was continued, whose cache the row then takes over"]
    moved = "rows in which another beam was continued, whose cache the row then takes over"
    if len(shares) > NAMED:
        ordered = sorted(shares, key=lambda entry: entry[0])
        least, most = (f"{_percent(share)} ({case_told(done)})" for share, done in (ordered[0], ordered[-1]))
        return [f"{moved}: from {least} to {most}"]
    others = {case_told(done).replace(_beams(done), "") for _, done in shares}
    if len(others) == 1:  # the cells differ in nothing else
        told = listed([f"{_percent(share)} with {_beams(done)}" for share, done in shares])
    else:
        told = listed([f"{_percent(share)} ({case_told(done)})" for share, done in shares])
    return [f"{moved}: {told}"]


def ties_told(cells: Sequence[CellResult]) -> Iterator[str]:
    """Yield a sentence for each cell in which rounding could turn what the search chose."""
    for done in cells:
        if ties := done.cell.get("search_ties"):
            yield (
                f"{case_told(done)}: {counted(ties, 'choice')} of the search {'is a tie' if ties == 1 else 'are ties'} "
                "within the tolerance: rounding could turn them, so other sequences than full recompute's would be no "
                "fault there"
            )


def _moves(cell: Any) -> bool:
    return cell.get("moved_share") is not None and search_from(cell.get("search")).width > 1


def _beams(done: CellResult) -> str:
    return counted(search_from(done.cell.get("search")).width, "beam")


def _percent(share: float) -> str:
    return f"{100 * share:.2g} %"
