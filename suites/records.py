"""What a run writes down of a cell, as data: timed rounds, calibrations, facts of arms, and conditions."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import MinLen
from pydantic import BeforeValidator
from typing_extensions import NotRequired, TypedDict  # noqa: UP035 - pydantic asks for these below Python 3.12

EXACT: dict[str, Any] = {"extra": "forbid"}
"""Of a record that is read: a field that this version does not know is a mistake."""

Mark = Annotated[float, BeforeValidator(lambda value: math.nan if value is None else value)]
Status = Literal["ok", "invalid", "failed", "skipped"]


@dataclass(frozen=True)
class Round:
    """One timed pass of one arm. ``marks_s``: start (0), prefill, first token, then each token, or the end alone.

    NaN is a mark that a contender's library does not let one take; it is written as null. ``strategy``: the arm's
    label; an A/A arm's is ``twin_label`` or ``crossed_label`` of the strategy that it repeats. ``collections``: garbage
    collections inside. Noted of rounds in a child process alone: ``others_cores``, the cores that other processes used
    meanwhile, as coarse as the kernel counts (below 0 by that, too; None: not readable), and ``disturbed``, whether it
    is a load for certain in this round by itself.
    """

    __pydantic_config__: ClassVar = EXACT
    strategy: str
    index: int
    warmup: bool
    every_step: bool
    marks_s: Annotated[list[Mark], MinLen(3)]
    collections: int = 0
    disturbed: bool = False
    others_cores: float | None = None


@dataclass(frozen=True)
class Calibration:
    """The machine's own speed in a round: a streaming read in bytes/s, a product of fp32 matrices in FLOPs/s.

    ``kernels``: these and others by name (``suites/ceilings``), rows, columns, sum and copy in bytes/s, gemm_<dtype>
    in FLOPs/s. ``cache_bytes``: the last cache, None where it is not told; ``buffer_bytes``: what was read in turn.
    Folders of earlier versions have none of the three.
    """

    __pydantic_config__: ClassVar = EXACT
    index: int
    warmup: bool
    read_bytes_per_s: float
    gemm_flops_per_s: float
    kernels: dict[str, float] = field(default_factory=dict)
    cache_bytes: int | None = None
    buffer_bytes: int | None = None


@dataclass(frozen=True)
class Conditions:
    """Of a cell's rounds, warm-up included: what ended them, and what the machine did meanwhile. None: not readable.

    Seconds of CPU time are summed over cores, ``busy_cpu_s`` over the whole machine's. ``cpu_mhz``: after rounds,
    the fastest core that this process may use. ``throttled``: what NVIDIA's driver names. ``aa_reason``: why there is
    no A/A arm though one was asked for; ``crossed_reason``: why there is none in a child process.
    """

    __pydantic_config__: ClassVar = EXACT
    stopped_by: str
    wall_s: float
    own_cpu_s: float
    busy_cpu_s: float | None
    cores: int
    machine_cores: int
    cpu_mhz: list[float]
    throttled: list[str]
    aa_reason: str = ""
    crossed_reason: str = ""


def twin_label(strategy: str) -> str:
    """The label of the A/A arm of a strategy."""
    return f"{strategy} (A/A)"


def crossed_label(strategy: str) -> str:
    """The label of the A/A arm of a strategy that runs in a child process, as contenders do."""
    return f"{strategy} (A/A in a child process)"


class RoleSums(TypedDict):
    """FLOPs and bytes by role, over prefill and over the steps that were taken."""

    prefill_flops: dict[str, int]
    decode_flops: dict[str, int]
    decode_bytes: dict[str, int]


@dataclass(frozen=True)
class ArmFacts:
    """What is known of one strategy in one cell besides its rounds. Bytes and seconds; None where it was not measured.

    A contender is one, too: of it only set-up (loading included), tokens and the memory of its process are known.
    ``status`` invalid: it disagrees with the oracle; a ``reason`` beside ok is a remark. ``steps``: decode steps taken;
    ``row_lens``: tokens of each row up to its end; ``tokens_equal``: the last round chose the oracle's tokens;
    ``roles``: FLOPs and bytes of the steps taken (``formulas.role_sums``); ``dispatch_s``: what asking for a step's
    kernels takes (``probes/overhead``). Folders of earlier versions lack these two.
    """

    __pydantic_config__: ClassVar = EXACT
    strategy: str
    status: Status
    reason: str = ""
    setup_s: float | None = None
    steps: int | None = None
    row_lens: list[int] | None = None
    necessary_flops: int | None = None
    kv_reserved_bytes: int | None = None
    kv_used_bytes: int | None = None
    peak_memory_bytes: int | None = None
    rss_bytes: int | None = None
    max_logit_error: float | None = None
    tokens_equal: bool | None = None
    roles: RoleSums | None = None
    dispatch_s: float | None = None


class Planned(TypedDict):
    """A case that a run means to measure."""

    id: str


class Plan(TypedDict):
    """What of run.json is read again."""

    plan: list[Planned]


class ModelEntry(TypedDict):
    """What of a cell's model is read again. ``content``: of a checkpoint (``strategies.models.checkpoints.digest``)."""

    name: str
    source: NotRequired[str]
    checkpoint: NotRequired[str | None]
    shape: NotRequired[list[tuple[str, Any]]]
    content: NotRequired[str | None]


class Formula(TypedDict):
    """FLOPs and bytes of a strategy as its formulas say: a prefill, and each step."""

    prefill_flops: int
    prefill_bytes: NotRequired[int]
    step_flops: list[int]
    weight_bytes: list[int]
    self_kv_bytes: list[int]
    cross_kv_bytes: list[int]
    copy_bytes: list[int]


class CapacityEntry(TypedDict):
    """What of a strategy fits in memory, by the formula of its peak (``capacity.py``)."""

    peak_bytes: int
    batch_max: int
    length_max: int


class MeasureEntry(TypedDict):
    """What of a cell's measure is read again."""

    margin: float


class ChoiceEntry(TypedDict):
    """A kernel that ``linear=auto`` chose, for weights of one shape up to so many rows; ``compiled``: in such steps."""

    weight: list[int]
    rows_max: int | None
    kernel: str
    ratio: float
    compiled: NotRequired[bool]


class NarrowingEntry(TypedDict):
    """What narrower weights changed (``narrowing.Narrowing``)."""

    logit_error: float
    logit_max: float
    choices_equal: float
    per: float | None
    per_fp32: float | None
    words: int


class CellEntry(TypedDict):
    """What of cell.json is read again, in every case."""

    model: ModelEntry
    device: str
    dtype: str
    threads: int
    batch_size: int
    src_len: int
    tgt_len: int
    stop: str
    seed: int
    formulas: dict[str, Formula]
    contenders: NotRequired[list[str]]
    capacity: NotRequired[dict[str, CapacityEntry]]
    memory_bytes: NotRequired[int]
    memory_bound_by: NotRequired[str]
    weight_bytes: NotRequired[int]
    weights: NotRequired[str]
    linear: NotRequired[str]
    linear_choices: NotRequired[list[ChoiceEntry]]
    narrowing: NotRequired[NarrowingEntry | None]
    narrowing_compiled: NotRequired[NarrowingEntry]
    necessary: NotRequired[dict[str, Formula]]
    measure: NotRequired[MeasureEntry]
