"""Lines on files of texts as a whole: how long each strategy takes for all batches, and which is the quickest."""

from __future__ import annotations

import statistics
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ..judging.baseline import Comparison, approximate_of, compare, timed_s
from ..judging.whole_file import WholeFile, whole_files
from ..settings.search import search_from
from ..store.cell_folder import CellResult
from ..words.comparison import Compared, spoken
from ..words.quantity import counted, quantity
from ..words.search_told import search_told
from ..words.settings_told import changed_settings


def whole_files_told(cells: Sequence[CellResult], planned: Collection[str] = ()) -> list[str]:
    """Make a line for each file that was decoded in several batches: the strategies by time, the quickest first.

    ``planned`` are the ids of the cells of the run, as far as they are known: there is no line where one of them has no
    result yet. Approximate ones come last. Intervals are adjusted for the comparisons of the files.
    """
    found = list(whole_files(cells)) if {*planned} <= {done.id for done in cells} else []
    compared, _ = compare([file.result for file in found])
    return [_line(file, mine) for file, mine in zip(found, compared, strict=True)]


def _line(file: WholeFile, compared: dict[str, Comparison]) -> str:
    approximate = approximate_of(file.result)
    times = {label: statistics.median(rounds.values()) for label, rounds in timed_s(file.result).items()}
    ordered = sorted(times, key=lambda label: (label in approximate, compared[label].ratio.value))
    cell = file.result.cell
    told = "; ".join(_case(label, times[label], compared[label], label in approximate) for label in ordered)
    return (
        f"all {file.sentences} sentences in {counted(file.batches, 'batch', 'batches')} of {file.batch_size}, "
        f"{'at most ' * (cell['stop'] == 'eos')}{counted(cell['tgt_len'], 'token')} each, {_settings(cell)}: {told}"
    )


def _settings(cell: Mapping[str, Any]) -> str:
    """Model, device, type and threads, and what else is not at its default."""
    search = search_from(cell.get("search"))
    beams = f", {counted(search.width, 'beam')}" if search.kind == "beam" else ""
    told = {**cell, "tf32": str(cell.get("tf32", False)).lower(), "search": search_told(search)}
    kernels = "".join(f", {text}" for text in changed_settings(told))
    threads = counted(cell["threads"], "thread")
    return f"{cell['model']['name']} on {cell['device']}, {threads}, {cell['dtype']}{kernels}{beams}"


def _case(label: str, time_s: float, found: Comparison, is_approximate: bool) -> str:
    name = f"{spoken(label)}{' (approximate)' * is_approximate} {quantity(time_s, 's')}"
    if found.verdict == "baseline":
        return name
    ratio = found.ratio
    words = Compared(ratio.value, ratio.low, ratio.high, *found.holm, found.verdict, ratio.rounds, found.beyond).beside(
        spoken(found.baseline)
    )
    return f"{name}, {words}"
