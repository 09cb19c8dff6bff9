"""Where the cells of a run are measured: on this machine, or as jobs of Slurm. No part of it belongs to a cell."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from .keys import key
from .rules import Rule, flag, number, one_of, text, whole

KINDS = ("local", "slurm")
ALL = "all"
NAME = text("a name that Slurm knows", optional=True)
GPUS = Rule("a whole number of at least 0, or all", lambda value: value == ALL or whole(0, 64).holds(value), True, 64)


@dataclass
class ClusterConfig:
    """Keys ``cluster.*``. The files of conf/cluster/ are presets."""

    kind: str = key("local: this machine; slurm: one job of Slurm per cell", "local", "|".join(KINDS), one_of(KINDS))
    gpus: Any = key(
        "Slurm: GPUs of a job; this machine: all, a cell on each GPU at once; null: none asked for",
        None,
        "int|all",
        GPUS,
    )
    cpus: int | None = key("Slurm: CPUs of a job; null: its cell's threads", None, "int", whole(1, 1024, optional=True))
    memory_gib: float | None = key(
        "Slurm: memory of a job; null: the partition's", None, "GiB", number("GiB above 0", 0, 2.0**20, optional=True)
    )
    minutes: int = key("Slurm: time limit of a job", 60, "min", whole(1, 60 * 24 * 365))
    parallel: int = key("Slurm: jobs that run at once", 16, "int", whole(1, 10_000))
    partition: str | None = key("Slurm: partition; null: the cluster's own", None, "name", NAME)
    account: str | None = key("Slurm: account that is charged; null: yours", None, "name", NAME)
    constraint: str | None = key("Slurm: features that a node must have", None, "name", NAME)
    exclusive: bool | None = key(
        "Slurm: a job has its node alone; null: where its cell runs on the CPU", None, "true|false", flag(optional=True)
    )

    @property
    def is_slurm(self) -> bool:
        """Whether cells are measured by jobs of Slurm."""
        return self.kind == "slurm"
