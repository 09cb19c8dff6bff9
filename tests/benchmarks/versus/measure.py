"""Rounds of two trees, interleaved, over several launches, and verdicts on their ratios."""

from __future__ import annotations

import dataclasses
import math
import random
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from suites.judging.ratios import Ratio, paired_ratio
from suites.judging.verdict import Verdict, holm, verdict
from suites.settings.cells import Cell

from .child import Child

BASE, OURS = "base", "working tree"
PHASES = {"prefill": (0, 1), "decode": (1, -1)}
"""Phase -> indexes of the marks at its start and its end."""

Times = dict[tuple[str, str], dict[str, list[float]]]
"""(strategy, phase) -> tree -> seconds, one value per round."""


@dataclass(frozen=True)
class Row:
    """One strategy and phase: the working tree's time over the base's, or the reason why there is no ratio."""

    strategy: str
    phase: str
    ratio: Ratio | None = None
    verdict: Verdict = "undecided"
    reason: str = ""

    @property
    def broken(self) -> bool:
        """Whether the strategy failed in the working tree."""
        return self.reason.startswith(f"{OURS}: ")


@dataclass(frozen=True)
class Measured:
    """Ratios of the working tree's time to the base's, one per launch; and why a strategy has none (tree: error)."""

    ratios: dict[tuple[str, str], list[float]]
    reasons: dict[str, str]


def measure(
    cell: Cell,
    strategies: Sequence[str],
    trees: Mapping[str, Path],
    launches: int,
    rounds: int,
    say: Callable[[str], None] = lambda text: None,
) -> Measured:
    """Decode with both trees. Raises ChildError.

    The working tree sets up first, so that a mistake in the settings is reported as such, and not as a base that does
    not fit. If a strategy fails in both trees, the working tree's reason is kept.

    A process keeps the memory layout that it happened to get. The layout alone can make it faster or slower than
    another process of the same code, so rounds of one pair of processes look more certain than they are. Hence each
    launch starts fresh processes and gives one value: the median of its paired ratios, which a single interrupted round
    does not move.
    """
    order = random.Random(cell.seed)
    case = {"cell": dataclasses.asdict(cell), "strategies": list(strategies)}
    ratios: dict[tuple[str, str], list[float]] = defaultdict(list)
    reasons: dict[str, str] = {}
    for launch in range(launches):
        if len(reasons) == len(strategies):
            break
        say(f"launch {launch + 1} of {launches}")
        taken: Times = defaultdict(lambda: defaultdict(list))
        with ExitStack() as stack:
            children = [stack.enter_context(Child(name, trees[name], cell.threads)) for name in (OURS, BASE)]
            for child in children:
                for label, reason in child.ask(case)["arms"].items():
                    if reason:
                        _note(reasons, label, child, reason)
            for _ in range(rounds):
                for label in order.sample(strategies, len(strategies)):
                    if label not in reasons:
                        for child in order.sample(children, len(children)):
                            _round(child, label, taken, reasons)
        for where, by_tree in taken.items():
            if where[0] not in reasons:
                pairs = zip(by_tree[OURS], by_tree[BASE], strict=True)
                ratios[where].append(median(ours / base for ours, base in pairs))
    return Measured(ratios, reasons)


def _note(reasons: dict[str, str], label: str, child: Child, reason: str) -> None:
    if label not in reasons or child.name == OURS:
        reasons[label] = f"{child.name}: {reason}"


def _round(child: Child, label: str, taken: Times, reasons: dict[str, str]) -> None:
    answer = child.ask(label)
    if "failed" in answer:
        _note(reasons, label, child, answer["failed"])
        return
    marks_s = answer["marks_s"]
    for phase, (first, last) in PHASES.items():
        taken[label, phase][child.name].append(marks_s[last] - marks_s[first])


def judge(measured: Measured, strategies: Sequence[str], margin: float) -> list[Row]:
    """Return two rows per strategy, with p-values adjusted over all of them (Holm)."""
    rows = []
    for label in strategies:
        if label in measured.reasons:
            rows.append(Row(label, "", reason=measured.reasons[label]))
            continue
        for phase in PHASES:
            ratios = measured.ratios[label, phase]
            rows.append(Row(label, phase, paired_ratio(ratios, [1.0] * len(ratios))))
    p_holm = holm([row.ratio.p if row.ratio else math.nan for row in rows])
    return [
        dataclasses.replace(row, verdict=verdict(row.ratio, margin, p)) if row.ratio else row
        for row, p in zip(rows, p_holm, strict=True)
    ]
