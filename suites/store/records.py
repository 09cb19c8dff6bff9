"""What a run writes down of a cell, as data: timed rounds, calibrations, what came of arms, and conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal

from typing_extensions import TypedDict

from .fields import Amount, Count, Error, Label, Marks, Number, Seconds, Size, Speed

EXACT: dict[str, Any] = {"extra": "forbid"}
"""Of a record that is read: a field that this version does not know is a mistake."""

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
    strategy: Label
    index: int
    warmup: bool
    every_step: bool
    marks_s: Marks
    collections: int = 0
    disturbed: bool = False
    others_cores: Number | None = None


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
    read_bytes_per_s: Speed
    gemm_flops_per_s: Speed
    kernels: dict[str, Speed] = field(default_factory=dict)
    cache_bytes: Count | None = None
    buffer_bytes: Count | None = None


@dataclass(frozen=True)
class Conditions:
    """Of a cell's rounds, warm-up included: what ended them, and what the machine did meanwhile. None: not readable.

    Seconds of CPU time are summed over cores, ``busy_cpu_s`` over the whole machine's. ``cpu_mhz``: after rounds,
    the fastest core that this process may use. ``throttled``: what NVIDIA's driver names. ``aa_reason``: why there is
    no A/A arm though one was asked for; ``crossed_reason``: why there is none in a child process.
    """

    __pydantic_config__: ClassVar = EXACT
    stopped_by: str
    wall_s: Seconds
    own_cpu_s: Number
    busy_cpu_s: Number | None
    cores: Size
    machine_cores: Size
    cpu_mhz: list[Amount]
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

    prefill_flops: dict[Label, Count]
    decode_flops: dict[Label, Count]
    decode_bytes: dict[Label, Count]


@dataclass(frozen=True)
class ArmResult:
    """What is known of one strategy in one cell besides its rounds. Bytes and seconds; None where it was not measured.

    A contender is one, too: of it only set-up (loading included), tokens and the memory of its process are known.
    ``status`` invalid: it disagrees with the oracle; a ``reason`` beside ok is a remark. ``steps``: decode steps taken;
    ``row_lens``: tokens of each row up to its end; ``tokens_equal``: the last round chose the oracle's tokens;
    ``execution``: of its steps, None of a contender, of which it is not known;
    ``roles``: FLOPs and bytes of the steps taken (``formulas.role_sums``); ``dispatch_s``: what asking for a step's
    kernels takes (``probes/overhead``). Folders of earlier versions lack these three.
    """

    __pydantic_config__: ClassVar = EXACT
    strategy: Label
    status: Status
    reason: str = ""
    setup_s: Seconds | None = None
    steps: Count | None = None
    row_lens: list[Count] | None = None
    necessary_flops: Count | None = None
    kv_reserved_bytes: Count | None = None
    kv_used_bytes: Count | None = None
    peak_memory_bytes: Count | None = None
    rss_bytes: Count | None = None
    max_logit_error: Error = None
    tokens_equal: bool | None = None
    roles: RoleSums | None = None
    dispatch_s: Seconds | None = None
    execution: Label | None = None
