"""Records that a run writes for each cell: timed rounds, calibrations, results of arms, and conditions."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

from typing_extensions import TypedDict

from .fields import EXACT, Amount, Count, Error, Label, Marks, Number, Seconds, Share, Size, Speed

Status = Literal["ok", "invalid", "failed", "skipped"]
COMPARED = "compared with"
"""Begins the remark of a case that was not compared with full recompute: it says with what, and why."""


@dataclass(frozen=True)
class Round:
    """One timed decode of the cell's batch by one arm.

    ``strategy`` is the arm's label; an A/A arm has the ``twin_label`` or ``crossed_label`` of the strategy that it
    repeats. ``marks_s`` are seconds: start (0), after prefill, after the first token, then after each later token
    (``every_step``) or at the end alone. NaN stands for a mark that a contender's library does not let us take; it is
    written as null. ``collections`` counts the garbage collections inside the round.

    Two fields are set only for rounds in a child process. ``others_cores`` is how many cores other processes used
    meanwhile; the kernel counts coarsely, so it may even be below 0, and None means not readable. ``disturbed`` says
    that this round by itself shows a load for certain.

    ``energy_j`` is the energy in joules that the whole GPU took during the round and the pauses of some milliseconds
    around it. It is None on a CPU, where it is not readable, and in folders of earlier versions.
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
    energy_j: Amount | None = None


@dataclass(frozen=True)
class Calibration:
    """The machine's own speed, measured among the rounds: a streaming read (bytes/s) and an fp32 product (FLOPs/s).

    ``kernels`` maps every kernel of ``suites/ceilings`` to its rate: rows, columns, sum and copy in bytes/s, and
    gemm_<dtype> in FLOPs/s. ``cache_bytes`` is the size of the last cache, None where the system does not say.
    ``buffer_bytes`` is the size of the buffer that was read in turn. Folders of earlier versions lack these three.
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
    """What ended a cell's rounds, warm-up included, and what the machine did meanwhile. None means not readable.

    CPU times are summed over cores, in seconds: ``own_cpu_s`` is that of the run and the processes it started,
    ``busy_cpu_s`` that of the whole machine. ``cpu_mhz`` holds the frequency after rounds of the fastest core that this
    process may use. ``throttled`` holds the reasons that NVIDIA's driver gives for slowing the GPU, and
    ``throttled_s`` for how many seconds, where the driver counts them (folders of earlier versions lack it).
    ``aa_reason`` says why there is no A/A arm although one was asked for, ``crossed_reason`` why there is none in a
    child process.
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
    throttled_s: dict[str, Seconds] = field(default_factory=dict)


def twin_label(strategy: str) -> str:
    """The label of the A/A arm that repeats a strategy."""
    return f"{strategy} (A/A)"


def crossed_label(strategy: str) -> str:
    """The label of the A/A arm that repeats a strategy in a child process, as contenders run."""
    return f"{strategy} (A/A in a child process)"


class RoleSums(TypedDict):
    """FLOPs and bytes by role, summed over prefill and over the decode steps that were taken."""

    prefill_flops: dict[Label, Count]
    decode_flops: dict[Label, Count]
    decode_bytes: dict[Label, Count]


@dataclass(frozen=True)
class ArmResult:
    """What is known of one strategy or contender in one cell besides its rounds. None means not measured.

    Of a contender only set-up time (loading included), tokens and the memory of its process are known, and on CUDA the
    peak memory of some.

    ``status`` "invalid" means that it disagrees with the oracle; a ``reason`` beside "ok" is a remark. ``steps`` counts
    the decode steps taken, ``row_lens`` the tokens of each row up to its end. ``tokens_equal`` says whether the last
    round chose the oracle's tokens. ``execution`` is how its steps are run, None for a contender. ``roles`` holds FLOPs
    and bytes of the steps taken (``formulas.role_sums``). ``dispatch_s`` is the time in seconds that asking for a
    step's kernels takes (``probes/overhead``). ``attention_ran`` names torch's kernels of attention that its prefill
    and steps used, with commas (``probes/attention``); "" where that is not known. ``fp32_error_ratio`` is, in low
    precision, its error to float32 over full recompute's own (``measuring/reference``). ``kv_used_blocks`` and
    ``kv_reserved_blocks`` are those of one layer, of strategies that keep K/V in blocks. ``loaded_rss_bytes`` and
    ``decode_rss_bytes`` are the resident memory of a process of the strategy alone, once it has loaded and at its most
    (``measuring/resident``, with ``measure.rss``). Folders of earlier versions
    lack these six, ``execution``, ``dispatch_s`` and ``roles``.

    ``exact`` says whether a strategy declares full recompute's logits; it is None for a contender, and in folders of
    earlier versions, in which every strategy did. The fields after it say what an approximate strategy loses beside an
    exact one (``measuring/quality``): KL divergence in nats, mean and largest over steps and rows, shares of equal
    choices and of equal sequences, edits over tokens, and the phoneme error rate (``measuring/spoken``). ``choices``
    counts the steps and rows that the divergence and the share of equal choices stand on.
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
    loaded_rss_bytes: Count | None = None
    decode_rss_bytes: Count | None = None
    max_logit_error: Error = None
    fp32_error_ratio: Error = None
    tokens_equal: bool | None = None
    roles: RoleSums | None = None
    dispatch_s: Seconds | None = None
    execution: Label | None = None
    attention_ran: str = ""
    exact: bool | None = None
    kl_nats: Amount | None = None
    kl_max_nats: Amount | None = None
    top1_equal: Share | None = None
    sequences_equal: Share | None = None
    token_error: Amount | None = None
    phoneme_error: Amount | None = None
    kv_used_blocks: Count | None = None
    kv_reserved_blocks: Count | None = None
    choices: Count | None = None

    @property
    def is_approximate(self) -> bool:
        """Whether it declares that its logits are not full recompute's."""
        return self.exact is False
