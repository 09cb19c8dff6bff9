"""The closing summary of a run: strategies ranked in each cell, with their ratio to the baseline and its interval."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap

import numpy as np
import pandas as pd
from rich.measure import Measurement
from rich.text import Text

from ..store.folders import from_here
from ..store.records import COMPARED
from ..tables.exactness import is_exact
from ..tables.executions import by_execution
from ..tables.groups import groups
from ..words.console import UNBROKEN, standard_output
from ..words.quantity import counted, quantity
from ..words.search_told import sizes_told
from .advice import advise
from .card import apart
from .ranking import Rounds, below, rankings, title_of
from .stopped import is_told_by_cell, missing_told, status_told


def print_summary(
    run_dir: Path,
    table: pd.DataFrame,
    cards: Sequence[Sequence[str]],
    written: Sequence[Path] = (),
    missing: int = 0,
    rounds: Rounds | None = None,
    notes: Sequence[str] = (),
    left: str = "",
) -> None:
    """Print the closing summary to standard output: the ranked tables, what failed and why, and the decision cards.

    ``cards`` are those of ``telling.card``, one for each group of the table. ``written`` are the paths of the plots,
    ``missing`` is the number of planned cells without any result that nobody measures. ``rounds`` are as for
    ``rankings``, and ``notes`` say what must be known of models and types. ``left`` says how to go on with a run of
    which something is left.
    """
    console = standard_output()
    for ranking in rankings(table, console.width, rounds):
        needed = Measurement.get(console, console.options.update(width=UNBROKEN), ranking).maximum
        console.print(ranking, width=max(needed, console.width), crop=False)
    if (table["status"] == "ok").any():
        console.print(_hanging(below(table), console.width), style="dim")
    for line in [*failures(table), *missing_told(missing)]:
        console.print(_hanging(line, console.width), style="yellow")
    for line in [*remarks(table), *notes]:
        console.print(_hanging(line, console.width))
    plots = f"{len(written)} plots, " if written else ""
    console.print(f"{plots}table.csv, steps.csv, roles.csv and advice.txt in {from_here(run_dir)}", soft_wrap=True)
    for lines in [*cards, *([[left]] if left else [])]:
        console.print()
        for place, line in enumerate(lines):
            said, command = apart(line)
            console.print(_hanging(said, console.width), style="bold" if place == 0 else "")
            if command:  # unbroken, so that it can be pasted
                console.print(f"  {command}", soft_wrap=True)


def _hanging(line: str, width: int) -> Text:
    """A line that wraps at words and never within one, its further lines indented."""
    wrapped = wrap(line, max(width, 40), subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
    return Text("\n".join(wrapped), no_wrap=True, overflow="ignore")


def advice_lines(
    table: pd.DataFrame,
    cards: Sequence[Sequence[str]],
    noises: Sequence[str] = (),
    kernels: Sequence[str] = (),
    left: str = "",
) -> Iterator[str]:
    """Yield the lines of advice.txt: for each group of the table a heading, its card, questions and their answers.

    Answers are indented more. What was checked, and what may have spoiled times, is at the end. ``cards`` are
    those of ``telling.card``, ``noises`` lines of ``judging.noise``, and ``kernels`` those of ``choices_told``.
    ``left`` comes first: how to go on with a run of which something is left.
    """
    if left:
        yield left
    for rows, lines in zip(groups(table), cards, strict=True):
        if sections := advise(rows):
            yield f"advice: {title_of(rows, table)}"
            yield from (f"  {line}" for line in lines)
        for section in sections:
            yield f"  {section.title}"
            yield from (f"    {sentence}" for sentence in section.sentences)
    told = equality_told(table), endings(table), noise_floor(table), crossed_floor(table), *kernels
    if checked := [*filter(None, told), *slower_executions(table), *(f"warning: {line}" for line in noises)]:
        yield "what was checked"
        yield from (f"  {line}" for line in checked)


def failures(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each reason why cases were not measured, but for those of which a line on the cell tells."""
    bad = table[table["status"] != "ok"]
    bad = bad.loc[[not is_told_by_cell(row) for row in bad.to_dict("records")]]
    for (_, reason), group in bad.groupby(["status", "reason"], sort=False):
        names = ", ".join(dict.fromkeys(group["strategy"]))
        cells, word = group["cell"].nunique(), status_told(group.iloc[0].to_dict())
        yield f"{word}: {names} in {counted(cells, 'cell')}: {reason}"


def remarks(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each remark on cases that were measured all the same."""
    told = table[(table["status"] == "ok") & (table["reason"] != "")]
    for (label, reason), cases in told.groupby(["strategy", "reason"], sort=False):
        count = cases["cell"].nunique()
        yield f"{label} in {counted(count, 'cell')}: {reason}"


def slower_executions(table: pd.DataFrame) -> Iterator[str]:
    """Yield a sentence for each measured case that no ranked table shows: it is not eager, nor its strategy's best."""
    for rows in groups(table[table["status"] == "ok"]):
        shown = set().union(*(part.index for _, part in by_execution(rows)))
        for row in rows.loc[[index for index in rows.index if index not in shown]].to_dict("records"):
            case = sizes_told(row)
            yield f"{row['strategy']}, {case}: {quantity(row['e2e_s'], 's')}; the table shows another execution of it"


def equality_told(table: pd.DataFrame) -> str:
    """Say how far the logits of the timed strategies are from full_recompute's; "" if one was not compared with it.

    Approximate strategies need not be equal.
    """
    mine = table[(table["status"] == "ok") & (table["execution"] != "") & is_exact(table)]
    others = mine["max_logit_error"].isna() | mine["reason"].str.startswith(COMPARED)
    if mine.empty or others.any():  # ``remarks`` says what such a case was compared with
        return ""
    within = f"{mine['max_logit_error'].max():.1e}"
    every = "every strategy" if is_exact(table).all() else "every exact strategy"
    told = f"equal: before it was timed, {every} gave full recompute's logits within {within} at each step"
    ratio = mine["fp32_error_ratio"].max()
    return told if math.isnan(ratio) else f"{told}; its error to float32 was at most {ratio:.2f} times full recompute's"


def noise_floor(table: pd.DataFrame) -> str:
    """Say the A/A ratio and its interval, of the cell where these reach furthest from 1; "" without an A/A arm."""
    found = _furthest(table, "noise_floor")
    return f"noise floor: A/A ratio {found}" if found else ""


def crossed_floor(table: pd.DataFrame) -> str:
    """Say the ratio of the A/A arm in a child process, as ``noise_floor`` does for the arm in this process.

    It is the noise floor of ratios to contenders. If the interval of some cell excludes 1, the sentence says what to
    do.
    """
    found = _furthest(table, "crossed_floor")
    if not found:
        return ""
    told = f"noise floor of contenders: A/A ratio, the second in a child process as they run, {found}"
    if not ((table["crossed_floor_low"] > 1) | (table["crossed_floor_high"] < 1)).any():
        return told
    return (
        f"{told}: the same code runs at another speed in another process here, so ratios to contenders may be off by "
        "as much, and only beyond it they are called faster or slower; measure again, as each run starts processes anew"
    )


def _furthest(table: pd.DataFrame, name: str) -> str:
    """The ratio in the columns ``name`` that reaches furthest from 1, with its interval; "" if there is no ratio."""
    measured = table[table[name].notna()]
    if measured.empty:
        return ""
    ratios = measured[[name, f"{name}_low", f"{name}_high"]].to_numpy(float)
    value, low, high = ratios[np.nanargmax(np.nanmax(np.abs(np.log(ratios)), axis=1))]
    where = f", the furthest from 1 of {len(measured)} cells" if len(measured) > 1 else ""
    return f"{value:.3f} [{low:.3f}, {high:.3f}]{where}"


def endings(table: pd.DataFrame) -> str:
    """Say what ended the rounds, and in how many cells; "" if every cell ran the fixed number of rounds."""
    cells = table[table["status"] == "ok"].drop_duplicates("cell")
    counts = cells["stopped_by"].value_counts()
    if not set(counts.index) - {"", "rounds"}:
        return ""
    ended = ", ".join(f"{by} in {counted(count, 'cell')}" for by, count in counts.items())
    fewest, most = cells["rounds"].min(), cells["rounds"].max()
    return f"rounds: {fewest}{f' to {most}' if most > fewest else ''}, ended by {ended}"
