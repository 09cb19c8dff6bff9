"""Deterministic budgets: the work of a decoder's round must equal a reviewed file exactly, by version of torch.

The figures are those of ``suites.probes.work.Work`` and the peak of live bytes in a whole round. A change in either
direction is a difference. If it is intended, write the file (``budget_file.py``) anew and have the diff reviewed. Graph
breaks and recompilations have no figure, because only eager steps are counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import nn

from ..measuring.arms import StrategyArm
from ..probes import Work, WorkCounter
from ..store.files import write_text
from ..timing.clock import CpuClock
from .budget_file import PEAK, STAGES, BudgetError, Entry, of_this_torch, read, text, torch_version


@dataclass(frozen=True)
class Budget:
    """The work of each named stage of a round, and the peak of live bytes above the weights in the whole round."""

    stages: Mapping[str, Work]
    peak_bytes: int | None = None

    def entry(self) -> Entry:
        """The entry for the file. Figures that are zero at every stage are kept, but products only where they ran."""
        works = list(self.stages.values())
        names = [field.name for field in dataclasses.fields(Work) if field.name != "products"]
        kinds = list(dict.fromkeys(kind for work in works for kind in work.products))
        entry: Entry = {STAGES: list(self.stages)}
        entry |= {name: [getattr(work, name) for work in works] for name in names}
        entry |= {f"products {kind}": [work.products.get(kind, 0) for work in works] for kind in sorted(kinds)}
        return entry if self.peak_bytes is None else {**entry, PEAK: self.peak_bytes}


def measure_budget(arm: StrategyArm, steps: Sequence[int] = (4, 12)) -> Budget:
    """Return the budget of prefill and of the steps that attend ``steps`` keys, after one warm-up round.

    The work is counted in the same round that ``run`` times, with a counter in place of the clock. Raises ProbeError at
    a product that cannot be opened, IndexError for a step beyond the target length.
    """
    arm.round(-1, True, CpuClock())
    with WorkCounter(arm.session.model) as counter:
        arm.round(0, False, counter)
    prefill, *each = counter.work()
    stages = {"prefill": prefill, **{f"step {k}": each[k - 1] for k in steps}}
    return Budget(stages, arm.peak_memory_bytes(CpuClock()))


def count(model: nn.Module, decode: Callable[..., Iterable[object]], *inputs: object) -> Budget:
    """Return the budget of any decoder, of its first and its last step. ``decode(*inputs)`` must yield once per step.

    Work before the first step counts to the first step. It is counted after one warm-up round, without gradients.
    Raises ValueError if the decoder has no steps, ProbeError at a product that cannot be opened.
    >>> model = nn.Linear(4, 4)
    >>> count(model, lambda rows: (model(row) for row in rows), torch.ones(3, 1, 4)).entry()["flops"]
    [32, 32]
    """
    with torch.no_grad():
        steps = sum(1 for _ in decode(*inputs))
        if not steps:
            raise ValueError("the decoder yielded nothing; decode must yield once per step")
        with WorkCounter(model) as counter:
            counter.start()
            for _ in decode(*inputs):
                counter.mark()
    first, *later = counter.work()
    return Budget({"first step": first, "last step": later[-1] if later else first})


def guard(path: Path | str, measured: Mapping[str, Budget], remedy: str = "make budgets") -> None:
    """Require that budgets equal those of the file. Raises BudgetError or UnknownVersionError.

    ``remedy`` is the command that calls ``rewrite``; messages name it.
    """
    known = of_this_torch(path, remedy)
    lines, grew = [], False
    for name, budget in measured.items():
        if name not in known:
            lines.append(f"{name}: not in {Path(path).name}")
            grew = True
            continue
        found, more = _compare(known[name], budget.entry())
        lines += [f"{name}: {line}" for line in found]
        grew |= more
    if lines:
        meant = f"mend it, or, if it is meant, run {remedy} and have the diff of {Path(path).name} reviewed"
        raise BudgetError("\n".join([*lines, meant if grew else f"improved: run {remedy} to keep it"]))


def _compare(known: Entry, measured: Entry) -> tuple[list[str], bool]:
    """(one line per figure that differs, whether any of them grew)."""
    if known[STAGES] != measured[STAGES]:
        return [f"stages were {known[STAGES]}, are {measured[STAGES]}"], True
    lines, grew = [], False
    stages = measured[STAGES]
    assert isinstance(stages, list)
    for figure in dict.fromkeys((*measured, *known)):
        if figure == STAGES:
            continue
        before, after = _values(known, figure, len(stages)), _values(measured, figure, len(stages))
        if before == after:
            continue
        places = stages if len(after) == len(before) == len(stages) else ["round"]
        changes = [(at, b, a) for at, b, a in zip(places, before, after, strict=True) if a != b]
        verbs = {"grew" if a > b else "shrank" for _, b, a in changes}
        grew |= "grew" in verbs
        said = ", ".join(f"{at} {b:,} -> {a:,} ({a - b:+,})" for at, b, a in changes)
        lines.append(f"{figure} {' and '.join(sorted(verbs))}: {said}")
    return lines, grew


def _values(entry: Entry, figure: str, stages: int) -> list[int]:
    """Values of a figure at each stage, or its value for the whole round; zero for a kind of product that never ran."""
    value = entry.get(figure, 0 if figure == PEAK else [0] * stages)
    return [value] if isinstance(value, int) else [int(number) for number in value]


def rewrite(path: Path | str, measured: Mapping[str, Budget]) -> None:
    """Replace the file's figures for the installed version of torch; those of other versions stay.

    Raises BudgetError if the file is damaged, and leaves it as it is.
    """
    entries = {name: budget.entry() for name, budget in measured.items()}
    write_text(Path(path), text({**read(path, "this again"), torch_version(): entries}))
