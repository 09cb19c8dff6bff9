"""The decision card: in at most three lines what to use, how sure that is, where the time goes, and what to do next.

It answers for one cell, the longest of the largest batch. All that it says follows from rows of the table and their
verdicts, as do the table of the terminal, titles and advice.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

import pandas as pd

from ..tables.columns import GROUP
from ..words.comparison import Compared, eagerly, factor, spoken
from ..words.labels import listed
from ..words.quantity import quantity
from .advice import step
from .advice.rows import Row, cases, is_strategy, largest, timed

CAREFUL = "measure=careful"
PROFILED = ("model", "dtype", "device", "threads", "linear", "weights", "attention")
"""Keys of a run that the command that follows keeps for ``profile``."""
LOAD = "other processes used"
"""How the noise begins that says that the machine was busy (``judging.noise``)."""


def cards(table: pd.DataFrame, noises: Sequence[str] = (), command: str = "") -> list[list[str]]:
    """Write the card of each model and device of a table, in its order, as ``card`` does."""
    return [card(rows, noises, command) for _, rows in table.groupby(GROUP, sort=False)]


def card(rows: pd.DataFrame, noises: Sequence[str] = (), command: str = "") -> list[str]:
    """Write the card of one model on one device, whose cases are ``rows``; nothing if nothing was timed.

    ``noises`` are the lines of ``judging.noise.told``. ``command`` is the run's own command line, from which the next
    one is made; without it, only what to add is said.
    """
    known = largest(timed(rows))
    if known.empty:
        return []
    place, cell = next(cases(known))
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    rivals = [row for row in cell if row is not best]
    if rivals and not is_decided(cell):
        load = next((cause_of(line) for line in noises if line.startswith(LOAD)), "")
        why = f"{load}" if load else f"{best['rounds']:.0f} rounds do not decide"
        said = f"Too noisy to say which is fastest at {place}: {why}. Run again with {CAREFUL}."
        facts = [_cost(best, spoken(best["strategy"]) + ": "), _certainty(best, rivals, said=False)]
        return [said, f"{'; '.join(facts)}.", f"Next: {_command(command, CAREFUL)}"]
    last = (
        f"Careful: {cause_of(noises[0])}; advice.txt says what helps." if noises else _next(rows, best, rivals, command)
    )
    facts = [_cost(best), *([_certainty(best, rivals)] if rivals else []), *_time(best)]
    return [f"{headline(place, cell)}.", f"{'; '.join(facts)}.", last]


def cause_of(noise: str) -> str:
    """What was wrong, of a line that also says in which cells, and what helps."""
    return re.sub(r" \(in \d+ of \d+ cells.*\)$", "", noise.partition(": ")[0])


def is_decided(cell: Sequence[Row]) -> bool:
    """Whether the rounds decide any comparison of a cell."""
    return any(Compared.of(row, kind).is_decided for row in cell for kind in ("e2e", "best"))


def headline(place: str, cell: Sequence[Row]) -> str:
    """Name the pick of a cell and how much faster than the baseline it is, in parts if they differ in execution."""
    best = next(row for row in cell if row["strategy"] == row["best_strategy"])
    base = next((row for row in cell if row["strategy"] == row["baseline"]), best)
    name = spoken(best["strategy"])
    if len(cell) == 1:
        return f"At {place}, {name} was measured alone, so there is nothing to choose"
    found = Compared.of(best)
    near = [row for row in cell if is_strategy(row) and row["best_verdict"] in ("indistinguishable", "undecided")]
    ties = [spoken(row["strategy"]) for row in near if found.verdict != "faster" or row is not base]
    named = listed([name, *ties]).replace(" and ", " or ")
    if base is best:
        return f"At {place}, use {named}: nothing is faster for certain"
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


def _cost(best: Row, name: str = "") -> str:
    """Time per token and bytes of the KV cache per sentence, where they are known."""
    cost = f"{name}{quantity(best['tpot_s'], 's')} per token"
    if not is_strategy(best):
        return cost
    kept = best["kv_reserved_bytes"] / best["batch_size"]
    return f"{cost}, {quantity(kept, 'B')} of KV cache per sentence" if kept else f"{cost}, no KV cache"


def _certainty(best: Row, rivals: Sequence[Row], said: bool = True) -> str:
    """How sure it is that nothing is faster: the pick against its nearest rival, a strategy if there is one.

    ``said``: how the pick compares with the baseline has been said.
    """
    ours = [row for row in rivals if is_strategy(row)] or list(rivals)
    nearest = min(ours, key=lambda row: row["best_ratio"])
    beside = Compared.of(nearest, "best").clause(spoken(nearest["strategy"]), "it")
    sure = {"slower": "certain", "indistinguishable": "a tie"}.get(nearest["best_verdict"], "not certain")
    if said and nearest["strategy"] == best["baseline"]:
        sure = {"faster": "certain", "indistinguishable": "a tie"}.get(best["e2e_verdict"], "not certain")
        beside = ""
    quicker = [row for row in rivals if not is_strategy(row) and row["best_verdict"] == "faster"]
    contenders = [Compared.of(row, "best").clause(row["strategy"], "it") for row in quicker[:1]]
    return "; ".join([f"{sure}: {beside}" if beside else sure, *contenders])


def _time(best: Row) -> list[str]:
    if any(pd.isna(best.get(name)) for name in ("floor_fraction", "mbu", "mfu")):
        return []
    return [step.largest(best)]


def _next(rows: pd.DataFrame, best: Row, rivals: Sequence[Row], command: str) -> str:
    """The command that would teach most: more rounds, another execution, other lengths, or what else is to be seen."""
    undecided = [row for row in rivals if is_strategy(row) and not Compared.of(row, "best").is_decided]
    if undecided and CAREFUL not in command:
        return f"Next, to decide between them: {_command(command, CAREFUL)}"
    if set(rows["execution"]) <= {"eager", ""}:
        how, key = ("captured", "execution=graph") if best["device"] == "cuda" else ("compiled", "execution=compiled")
        return f"Next, to see what a {how} step gains: {_command(command, key)}"
    if rows["cell"].nunique() == 1 and "+sweep" not in command:
        return f"Next, to see whether it holds at other lengths: {_command(command, '+sweep=seq_len')}"
    kept = [word for word in _words(command)[4:] if word.partition("=")[0] in PROFILED]
    return f"Next, to see where a step spends its time: {shlex.join(['python', '-m', 'suites', 'profile', *kept])}"


def _command(command: str, key: str) -> str:
    """The run's command with a key that is set, in place of what stood for it."""
    name = key.partition("=")[0]
    replaced = {"+sweep": ("+sweep", "seq_len", "src_len", "tgt_len")}.get(name, (name,))
    left_out = *replaced, "hydra.run.dir", "hydra.sweep.dir"
    return shlex.join([*(word for word in _words(command) if word.partition("=")[0] not in left_out), key])


def _words(command: str) -> list[str]:
    """The words of a run's command; those of ``run`` without keys where it is not known, or cannot be read."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation mark without its partner
        words = []
    return words or ["python", "-m", "suites", "run"]
