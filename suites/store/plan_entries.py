"""The keys of plan.jsonl, run.json and try.json that are read back, with their types.

Other keys of run.json are allowed, since other versions write more; a plan's are not.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Gt, Le, MaxLen, MinLen
from pydantic import AfterValidator, AllowInfNan, Field
from typing_extensions import NotRequired, TypedDict  # noqa: UP035 - pydantic asks for these below Python 3.12

from strategies import Mistake

from ..settings.search import search_from
from .fields import EXACT, Amount, CellId, Count, Label, Number, Size, Speed


class Planned(TypedDict):
    """A cell that a run plans to measure, and the overrides that distinguish it from the run's other cells."""

    id: CellId
    overrides: NotRequired[list[str]]


class FrozenModel(TypedDict):
    """The model of a planned cell: the fields of a ``ModelSpec``."""

    __pydantic_config__ = EXACT  # type: ignore[misc]
    name: str
    source: Literal["pronounce", "checkpoint", "random"]
    checkpoint: str | None
    shape: list[Annotated[list[Any], MinLen(2), MaxLen(2)]]
    content: str | None


class GreedyEntry(TypedDict):
    """Greedy search: the fields of ``strategies.search.options.Greedy``."""

    __pydantic_config__ = EXACT  # type: ignore[misc]
    kind: Literal["greedy"]


class BeamEntry(TypedDict):
    """Beam search: the fields of ``strategies.search.options.Beam``."""

    __pydantic_config__ = EXACT  # type: ignore[misc]
    kind: Literal["beam"]
    num_beams: Size
    length_penalty: Number
    early_stopping: Literal["true", "false", "never"]
    num_return: Size


class SampleEntry(TypedDict):
    """Sampling: the fields of ``strategies.search.options.Sample``."""

    __pydantic_config__ = EXACT  # type: ignore[misc]
    kind: Literal["sample"]
    temperature: Speed
    top_k: Count
    top_p: Annotated[float, AllowInfNan(False), Gt(0), Le(1)]


def _possible(search: Any) -> Any:
    """Raise ValueError for values that no search could have together."""
    try:
        search_from(search)
    except Mistake as error:
        raise ValueError(str(error)) from None
    return search


SearchEntry = Annotated[GreedyEntry | BeamEntry | SampleEntry, Field(discriminator="kind"), AfterValidator(_possible)]
"""The search of a cell, as it is written. Versions in which every search was greedy did not write it."""


class FeaturesEntry(TypedDict):
    """The file of features that a cell decodes: the fields of a ``FeatureFile``. Plans that are older lack the last."""

    __pydantic_config__ = EXACT  # type: ignore[misc]
    path: str
    shape: Annotated[list[Size], MinLen(3), MaxLen(3)]
    content: str
    largest: NotRequired[Amount]


class FrozenCell(TypedDict):
    """A planned cell: the fields of a ``Cell``. One that this version does not know would measure another cell."""

    __pydantic_config__ = EXACT  # type: ignore[misc]
    model: FrozenModel
    src_len: Size
    tgt_len: Size
    batch_size: Size
    device: Literal["cpu", "cuda"]
    dtype: Literal["fp32", "bf16", "fp16"]
    threads: Size
    seed: Count
    stop: Literal["fixed", "eos"]
    src_ids: list[list[int]] | None
    linear: str
    weights: Literal["", "fp32", "bf16", "int8"]
    attention: str
    tf32: bool
    search: NotRequired[SearchEntry]
    src_features: NotRequired[FeaturesEntry | None]
    first_sentence: NotRequired[Count]


class FrozenEntry(TypedDict):
    """A line of plan.jsonl: a cell, and what is to be measured in it.

    ``strategies`` and ``contenders`` are labels, and ``measure`` holds the fields of ``measure.*``. ``config`` is the
    configuration of the job as YAML. ``isolate`` says whether it is measured in a process of its own, and ``is_spoken``
    that phoneme errors are counted though the search alone does not ask for it. ``job`` is the number of the job that
    the cell is of, from 0, where that is not its place in the plan.
    """

    id: CellId
    overrides: list[str]
    predicted_work: Count
    cell: FrozenCell
    strategies: list[Label]
    contenders: list[Label]
    measure: dict[str, Any]
    config: str
    isolate: NotRequired[Literal["none", "process", "auto"]]
    is_spoken: NotRequired[bool]
    job: NotRequired[Count]


class JobEntry(TypedDict):
    """A job of a batch system that measures a cell: the cell's id, and the job's."""

    cell: CellId
    job: str


class RunEntry(TypedDict):
    """Keys of run.json that are read back.

    ``plots`` and ``report`` say whether they are made at the end. ``jobs`` are the jobs that were submitted to a batch
    system, the last of each cell. ``cluster`` is the configuration under that name.
    """

    schema: int
    plan: list[Planned]
    command: NotRequired[str]
    started: NotRequired[str]
    sweep: NotRequired[str | None]
    plots: NotRequired[bool]
    report: NotRequired[bool]
    jobs: NotRequired[list[JobEntry]]
    cluster: NotRequired[dict[str, Any]]


class TryEntry(TypedDict):
    """Content of try.json: how many tries at a cell came to their end, and when this was written.

    ``reason``: how the last one ended, where the folder holds what an earlier one measured.
    """

    number: Count
    written: NotRequired[str]
    reason: NotRequired[str]
