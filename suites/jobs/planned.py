"""The plan of a run: its jobs as cells with strategies and contenders, or the reason why they do not go together."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from strategies import Strategy, select, with_execution
from strategies.strategy import Execution

from ..contenders import select_contenders
from ..measuring.spoken import can_be_spoken, is_spoken
from ..settings.cells import Cell, make_cells
from ..settings.config import ConfigError, RunConfig
from ..settings.obstacles import obstacle, refuse_idle_beams
from ..settings.overrides import Job
from ..settings.resources import refuse_cluster
from ..store.plan_entries import FrozenEntry
from ..work.planning import Effort, effort
from .isolation import require_importable


@dataclass(frozen=True)
class Planned:
    """One job of a run: a cell, and the strategies and contenders to measure in it."""

    job: Job
    cell: Cell
    strategies: list[Strategy]
    contenders: list[str]
    is_spoken: bool = False
    """Whether phoneme errors are counted because those of another cell are, with which they can be compared."""
    number: int | None = None
    """Number of the job, from 0, where that is not the place of the cell in the plan."""

    @cached_property
    def effort(self) -> Effort:
        """Predicted work of measuring it."""
        measure, contenders = self.job.config.measure, len(self.contenders)
        return effort(self.cell, self.strategies, measure, contenders, here=self.is_here)

    @property
    def is_here(self) -> bool:
        """Whether the cell is measured on this machine."""
        return not self.job.config.cluster.is_slurm

    @cached_property
    def id(self) -> str:
        """The cell's id."""
        return self.cell.id

    def written(self) -> dict[str, Any]:
        """The entry in the plan of run.json."""
        return {"id": self.id, "overrides": self.job.overrides, "predicted_work": self.effort.work}

    def frozen(self) -> FrozenEntry:
        """The line of plan.jsonl, as it is read back."""
        entry = {
            **self.written(),
            "cell": dataclasses.asdict(self.cell),
            "strategies": [strategy.label for strategy in self.strategies],
            "contenders": self.contenders,
            "measure": dataclasses.asdict(self.job.config.measure),
            "config": self.job.yaml,
            "isolate": self.job.config.isolate,
            **({"is_spoken": True} if self.is_spoken else {}),
            **({} if self.number is None else {"job": self.number}),
        }
        return cast("FrozenEntry", json.loads(json.dumps(entry)))


def arms_of(config: RunConfig) -> list[Strategy]:
    """Return the strategies of a job, and those of them that also run in another execution.

    Raises StrategyError.
    """
    return with_execution(select(config.strategies), cast("Execution", config.execution))


def planned(jobs: Sequence[Job]) -> list[Planned]:
    """Plan each job as its cells: those of a file of texts are its batches, and every other job has one.

    Raises StrategyError, or ConfigError if two jobs are one cell, names clash, or none can run.
    """
    _require_one_file(jobs)
    cells = make_cells(job.config for job in jobs)
    found = _without_shared(
        Planned(job, cell, arms_of(job.config), select_contenders(job.config.contenders), number=number)
        for number, (job, batches) in enumerate(zip(jobs, cells, strict=True))
        for cell in batches
    )
    found = [dataclasses.replace(one, number=None) if one.number == place else one for place, one in enumerate(found)]
    _require_distinct([one.cell for one in found])
    for one in found:
        if clash := next((s.label for s in one.strategies if s.label in one.contenders), ""):
            raise ConfigError(f"{clash} is the name of a strategy and of a contender of this run; leave one out")
        refuse_cluster(one.job.config.cluster, one.cell.device, one.cell.threads)
        require_importable(one.strategies, one.job.config.isolate)
    refuse_idle_beams((one.cell, one.strategies) for one in found)
    if any(is_spoken(one.cell) for one in found):
        found = [dataclasses.replace(one, is_spoken=can_be_spoken(one.cell)) for one in found]
    obstacles = [obstacle(one.cell, one.strategies, one.contenders, here=one.is_here) for one in found]
    if all(obstacles):
        more = f" (and none of the other {len(found) - 1} cells can run)" if len(found) > 1 else ""
        raise ConfigError(obstacles[0] + more)
    return found


def _require_one_file(jobs: Sequence[Job]) -> None:
    """Refuse several files of texts: tables tell batches apart by their first sentence alone."""
    files = list(dict.fromkeys(job.config.src_text for job in jobs if job.config.src_text is not None))
    if len(files) > 1:
        raise ConfigError(
            f"src_text={','.join(files)} are {len(files)} files, of which a run takes one; run each on its own"
        )


def _without_shared(plan: Iterable[Planned]) -> list[Planned]:
    """The plan without smaller last batches that stand in it before, of a file that is cut in batches of other sizes.

    What else is equal is left, to be refused.
    """
    found: list[Planned] = []
    batches: dict[str, Planned] = {}
    for one in plan:
        twin = batches.setdefault(one.id, one) if one.cell.first_sentence else one
        mine, other = one.job.config, twin.job.config
        is_shared = mine.batch_size != other.batch_size and mine == dataclasses.replace(
            other, batch_size=mine.batch_size
        )
        if twin is one or not is_shared:
            found.append(one)
    return found


def _require_distinct(cells: Sequence[Cell]) -> None:
    seen: dict[str, Cell] = {}
    for twin in cells:
        first = seen.setdefault(twin.id, twin)
        if first is twin:
            continue
        if first.model != twin.model:
            raise ConfigError(
                f"model.checkpoint={first.model.checkpoint} and {twin.model.checkpoint} hold the same model, so two "
                f"jobs would measure the same cell ({twin.title}); leave one out"
            )
        raise ConfigError(
            f"two jobs of this sweep would measure the same cell ({twin.title}); sweep keys that define a cell, "
            "and write several strategies, or contenders, as a list: strategies=[static_kv,contiguous_kv]; "
            "execution=compiled or graph times eager steps as well"
        )
