"""The decision card: in at most three lines what to use, how sure that is, where the time goes, and what to do next.

It answers for one cell, the longest of the largest batch. All that it says follows from rows of the table and their
verdicts, as do the table of the terminal, titles and advice.
"""

from __future__ import annotations

from collections.abc import Sequence

import pandas as pd

from ..tables.groups import groups, hardware_named
from ..words.comparison import Compared, eagerly, factor, spoken
from ..words.labels import listed
from ..words.quality import is_approximate, quality
from ..words.quantity import quantity
from ..words.search_told import is_beam
from .advice import step
from .advice.approximate import exact_error
from .advice.rows import Row, cases, is_strategy, largest, timed
from .next_command import profiling, with_key
from .spoiled import causes

CAREFUL = "measure=careful"
COMMAND = "python -m suites "
"""How a command begins that the last line of a card ends with."""


def cards(table: pd.DataFrame, noises: Sequence[str] = (), command: str = "", is_open: bool = False) -> list[list[str]]:
    """Write the card of each group of a table (``tables.groups``), in its order, as ``card`` does."""
    return [card(rows, noises, command, hardware_named(rows.iloc[0], table), is_open) for rows in groups(table)]


def card(
    rows: pd.DataFrame, noises: Sequence[str] = (), command: str = "", hardware: str = "", is_open: bool = False
) -> list[str]:
    """Write the card of one model on one kind of hardware, whose cases are ``rows``; nothing if nothing was timed.

    ``noises`` are the lines of ``judging.noise.told``; those about other rows are left out. ``command`` is the run's
    own command line, from which the next one is made; without it, only what to add is said. ``hardware`` is named if
    the run has several kinds. ``is_open``: something of the run is left to be measured, so there is no advice yet.
    """
    known = largest(timed(rows))
    if known.empty:
        return []
    place, cell = next(cases(known))
    place += f" on {hardware}" * bool(hardware)
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    if is_approximate(best):
        return [f"At {place}, only approximate strategies were timed, so none is named the fastest."]
    lossy = [row for row in cell if is_approximate(row)]
    cell = [row for row in cell if not is_approximate(row)]
    rivals = [row for row in cell if row is not best]
    if rivals and not is_settled(cell):
        load = causes(rows[rows["cell"] == best["cell"]], noises).get("other load")
        why = load or f"{best['rounds']:.0f} rounds do not decide"
        said = f"Too noisy to say which is fastest at {place}: {why}."
        facts = [f"{spoken(best['strategy'])}: {_cost(best)}" if _cost(best) else "", *_certainty(best, rivals, False)]
        if is_open:
            return [said if load else f"At {place}, {why} yet which is fastest.", *_sentence(facts)]
        return [f"{said} Run again with {CAREFUL}.", *_sentence(facts), f"Next: {with_key(command, CAREFUL)}"]
    facts = [_cost(best), *(_certainty(best, rivals) if rivals else []), *_quicker(lossy, cell), *_time(best)]
    told = [f"{headline(place, cell, bool(lossy))}.", *_sentence(facts)]
    if is_open:
        return told
    spoiled = next(iter(causes(rows, noises).values()), "")
    last = f"Careful: {spoiled}; advice.txt says what helps." if spoiled else _next(rows, best, rivals, command)
    return [*told, *filter(None, [last])]


def apart(line: str) -> tuple[str, str]:
    """Part a line of a card from the command that it ends with, "" where it ends with none.

    >>> apart("Next, to see more: python -m suites run seq_len=8")
    ('Next, to see more:', 'python -m suites run seq_len=8')
    """
    said, found, rest = line.partition(f": {COMMAND}")
    return (f"{said}:", f"{COMMAND}{rest}") if found and said.startswith("Next") else (line, "")


def _sentence(facts: Sequence[str]) -> list[str]:
    """One sentence of all facts that are known; none without any."""
    known = "; ".join(filter(None, facts))
    return [f"{known}."] if known else []


def is_settled(cell: Sequence[Row]) -> bool:
    """Whether the rounds settle any comparison of a cell, be it as too close to call."""
    found = [Compared.of(row, kind) for row in cell for kind in ("e2e", "best")]
    return any(one.is_decided or one.is_close for one in found)


def headline(place: str, cell: Sequence[Row], has_approximate: bool = False) -> str:
    """Name the pick of a cell and how much faster than the baseline it is, in parts if they differ in execution.

    ``cell`` holds no approximate strategies; ``has_approximate`` says whether there are any beside it.
    """
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    base = next((row for row in cell if row["strategy"] == row["baseline"]), best)
    name = spoken(best["strategy"])
    if len(cell) == 1 and has_approximate:
        return f"At {place}, use {name}, the only exact strategy that was timed"
    if len(cell) == 1:
        return f"At {place}, {name} alone was timed, so there is nothing to choose"
    found = Compared.of(best)
    near = [row for row in cell if is_strategy(row) and row["best_verdict"] in ("indistinguishable", "undecided")]
    ties = [spoken(row["strategy"]) for row in near if found.verdict != "faster" or row is not base]
    named = listed([name, *ties]).replace(" and ", " or ")
    if base is best:
        if not any(is_strategy(row) for row in cell if row is not best) and is_strategy(best):
            return f"At {place}, use {named}, the only strategy that was timed"
        return f"At {place}, use {named}: {'no strategy' if is_strategy(best) else 'nothing'} is faster for certain"
    other = spoken(base["strategy"])
    told = found.clause(name, other) if ties else found.beside(other)
    return f"At {place}, use {named}: {told}{_parts(best, base, cell)}"


def _parts(best: Row, base: Row, cell: Sequence[Row]) -> str:
    """Split a speedup into what the cache and what the execution brings; "" if one of the two is all of it.

    Means of paired log ratios add up, so the factors multiply to the whole.
    """
    eager = next((row for row in cell if row["strategy"] == eagerly(best["strategy"])), None)
    if eager is None or eager is best or eager is base or Compared.of(best).verdict != "faster":
        return ""
    how = "capturing" if "captured" in spoken(best["strategy"]) else "compiling"
    by_cache, by_execution = 1 / eager["e2e_ratio"], eager["e2e_ratio"] / best["e2e_ratio"]
    return f", that is, {factor(by_cache)} by the cache and {factor(by_execution)} by {how}"


def _cost(best: Row) -> str:
    """Time per token and bytes of the KV cache per sentence, where they are known; a single token has no such time.

    With several beams, the time of a token is that of a step of all of them.
    """
    costs: list[str] = [] if pd.isna(best["tpot_s"]) else [f"{quantity(best['tpot_s'], 's')} per token"]
    if costs and is_beam(best["search"]) and int(best["num_beams"]) > 1:
        costs = [f"{costs[0]}, that is, per step of all {int(best['num_beams'])} beams"]
    if is_strategy(best):
        kept = best["kv_reserved_bytes"] / best["batch_size"]
        costs.append(f"{quantity(kept, 'B')} of KV cache per sentence" if kept else "no KV cache")
    return ", ".join(costs)


def _certainty(best: Row, rivals: Sequence[Row], said: bool = True) -> list[str]:
    """How sure it is that nothing is faster: the pick against its nearest rival, a strategy if there is one.

    A contender that is faster is told, too. ``said``: how the pick compares with the baseline has been said.
    """
    ours = [row for row in rivals if is_strategy(row)] or list(rivals)
    nearest = min(ours, key=lambda row: row["best_ratio"])
    if said and nearest["strategy"] == best["baseline"]:
        told = [_sure(Compared.of(best).verdict, "faster") if not Compared.of(best).is_close else ""]
    else:
        found = Compared.of(nearest, "best")
        settled = found.verdict == "faster" or found.is_close
        clause = found.clause(spoken(nearest["strategy"]), "it")
        told = [clause if settled else f"{_sure(found.verdict, 'slower')}: {clause}"]
    quicker = [row for row in rivals if row not in ours and row["best_verdict"] == "faster"]
    first = sorted(quicker, key=lambda row: row["best_ratio"])[:1]
    return [*told, *(Compared.of(row, "best").clause(row["strategy"], "it") for row in first)]


def _quicker(lossy: Sequence[Row], cell: Sequence[Row]) -> list[str]:
    """The quickest of the approximate strategies that are faster than the pick for certain, with what it loses."""
    quicker = [row for row in lossy if row["best_verdict"] == "faster"]
    if not quicker:
        return []
    row = min(quicker, key=lambda row: row["best_ratio"])
    clause = Compared.of(row, "best").clause(spoken(row["strategy"]), "it")
    return [f"{clause}, but approximate: {quality(row, exact_error(cell))}"]


def _sure(verdict: str, decided: str) -> str:
    """How certain an order is, by the verdict that shows it (``decided``)."""
    return {decided: "certain", "indistinguishable": "a tie"}.get(verdict, "not certain")


def _time(best: Row) -> list[str]:
    if any(pd.isna(best.get(name)) for name in ("floor_fraction", "mbu", "mfu")):
        return []
    return [step.largest(best)]


def _next(rows: pd.DataFrame, best: Row, rivals: Sequence[Row], command: str) -> str:
    """The command that would teach most: more rounds, another execution, other lengths, or what else is to be seen.

    "" where no such command is known to work.
    """
    compared = [Compared.of(row, "best") for row in rivals if is_strategy(row)]
    if CAREFUL not in command and not all(found.is_decided or found.is_close for found in compared):
        return f"Next, to decide between them: {with_key(command, CAREFUL)}"
    is_native = "native" in str(best.get("attention_ran"))  # a step is one call already, so compiling saves nothing
    if set(rows["execution"]) <= {"eager", ""} and not is_native:
        how, key = ("captured", "execution=graph") if best["device"] == "cuda" else ("compiled", "execution=compiled")
        return f"Next, to see what a {how} step gains: {with_key(command, key)}"
    if rows["cell"].nunique() == 1 and "+sweep" not in command:
        return f"Next, to see whether it holds at other lengths: {with_key(command, '+sweep=seq_len')}"
    profile = profiling(command, best)
    return f"Next, to see where a step spends its time: {profile}" if profile else ""
