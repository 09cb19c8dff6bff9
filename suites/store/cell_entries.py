"""The keys of cell.json that are read back, with their types.

Other keys are allowed, since other versions write more.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from pydantic import AfterValidator, AllowInfNan
from typing_extensions import NotRequired, TypedDict  # noqa: UP035 - pydantic asks for these below Python 3.12

from .fields import Amount, Count, Label, Share, Size
from .plan_entries import FeaturesEntry, SearchEntry


class ModelEntry(TypedDict):
    """Keys of a cell's model that are read back.

    ``content`` is the digest of a checkpoint (``strategies.models.checkpoints.digest``).
    """

    name: str
    source: NotRequired[str]
    checkpoint: NotRequired[str | None]
    shape: NotRequired[list[tuple[str, Any]]]
    content: NotRequired[str | None]


class Formula(TypedDict):
    """FLOPs and bytes of a strategy by its formulas: of prefill, and of each step k = 1 .. N."""

    prefill_flops: Count
    prefill_bytes: NotRequired[Count]
    step_flops: list[Count]
    weight_bytes: list[Count]
    self_kv_bytes: list[Count]
    cross_kv_bytes: list[Count]
    copy_bytes: list[Count]


def _same_steps(formula: Formula) -> Formula:
    """Raise ValueError if the lists of a formula differ in length."""
    if len({len(values) for values in formula.values() if isinstance(values, list)}) > 1:
        raise ValueError("the lists have different numbers of steps")
    return formula


FormulaEntry = Annotated[Formula, AfterValidator(_same_steps)]


class CapacityEntry(TypedDict):
    """Largest batch and length that fit in memory for a strategy, by its peak formula (``suites/work/capacity.py``)."""

    peak_bytes: Count
    batch_max: Count
    length_max: Count


class MeasureEntry(TypedDict):
    """Keys of a cell's ``measure`` that are read back."""

    margin: Annotated[float, AllowInfNan(False), Gt(0), Lt(1)]


class ChoiceEntry(TypedDict):
    """A kernel that ``linear=auto`` chose for weights of one shape, fed at most ``rows_max`` rows.

    ``compiled`` says that the choice holds for compiled steps.
    """

    weight: list[Count]
    rows_max: Count | None
    kernel: str
    ratio: Amount
    compiled: NotRequired[bool]


class NarrowingEntry(TypedDict):
    """Effect of narrower weights on the output (``suites.measuring.narrowing.Narrowing``)."""

    logit_error: Amount
    logit_max: Amount
    choices_equal: Share
    per: Amount | None
    per_fp32: Amount | None
    words: Count


class CellEntry(TypedDict):
    """Keys of cell.json that are read back and checked for every cell."""

    model: ModelEntry
    device: Literal["cpu", "cuda"]
    dtype: Literal["fp32", "bf16", "fp16"]
    threads: Size
    batch_size: Size
    src_len: Size
    tgt_len: Size
    stop: Literal["fixed", "eos"]
    seed: Count
    real_fraction: NotRequired[Share]
    formulas: dict[Label, FormulaEntry]
    arms: NotRequired[list[Label]]
    contenders: NotRequired[list[Label]]
    capacity: NotRequired[dict[str, CapacityEntry]]
    memory_bytes: NotRequired[Count]
    memory_bound_by: NotRequired[str]
    weight_bytes: NotRequired[Count]
    weights: NotRequired[Literal["", "fp32", "bf16", "int8"]]
    linear: NotRequired[str]
    attention: NotRequired[str]
    tf32: NotRequired[bool]
    search: NotRequired[SearchEntry]
    src_features: NotRequired[FeaturesEntry | None]
    first_sentence: NotRequired[Count]
    linear_choices: NotRequired[list[ChoiceEntry]]
    narrowing: NotRequired[NarrowingEntry | None]
    narrowing_compiled: NotRequired[NarrowingEntry]
    narrowing_reason: NotRequired[str]
    phoneme_error: NotRequired[Amount]
    phoneme_error_words: NotRequired[Count]
    phoneme_error_phrase: NotRequired[Size]
    phoneme_error_reason: NotRequired[str]
    fp32_reason: NotRequired[str]
    judged_by: NotRequired[Label]
    search_ties: NotRequired[Count]
    moved_share: NotRequired[Annotated[float, AllowInfNan(False), Ge(0), Le(1)]]
    necessary: NotRequired[dict[Label, FormulaEntry]]
    measure: NotRequired[MeasureEntry]
