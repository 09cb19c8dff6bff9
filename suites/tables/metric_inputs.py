"""The input of metrics: what a cell's folder holds on one arm, as a ``Case``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from ..ceilings.floor import Ceilings, floor_s, resident_share
from ..metrics import Case
from ..settings.search import search_from
from ..store.records import ArmResult
from ..work.role_names import role_name


def number(value: Any) -> float:
    """Convert a figure to float; None, which stands for a figure that was not measured, becomes NaN."""
    return math.nan if value is None else float(value)


def _cross_bytes(arm: ArmResult, formula: Mapping[str, Any]) -> float:
    """Bytes of the cross-attention K/V that are kept: what a step reads of them, if no step makes them anew."""
    if not formula or not formula["cross_kv_bytes"] or arm.roles is None:
        return math.nan
    is_kept = not any(role_name(path) == "cross.kv" for path in arm.roles["decode_flops"])
    return float(formula["cross_kv_bytes"][0]) if is_kept else 0.0


def case_of(cell: dict[str, Any], arm: ArmResult, ceilings: Ceilings) -> Case:
    """Collect what metrics need to know of ``arm`` besides its rounds. ``cell`` is the content of cell.json."""
    formula = cell["formulas"].get(arm.strategy, {})
    # A contender's own work is not known, so its floor is that of the work that no exact decoder could leave out.
    bound = formula or cell.get("necessary", {}).get(arm.strategy, {})
    fits = cell.get("capacity", {}).get(arm.strategy, {})
    taken = slice(arm.steps or 0)
    weights, *kv = (bound.get(f"{part}_bytes", [])[taken] for part in ("weight", "self_kv", "cross_kv"))
    bytes_N = [sum(step) for step in zip(weights, *kv, strict=True)]
    copied = sum(formula.get("copy_bytes", [])[taken])
    decode = sum(bound.get("step_flops", [])[taken])
    return Case(
        batch_size=cell["batch_size"],
        src_len=cell["src_len"],
        tgt_len=cell["tgt_len"],
        steps=arm.steps or 0,
        real_tokens=sum((arm.row_lens or [])[:: search_from(cell.get("search")).returned]),
        setup_s=number(arm.setup_s),
        necessary_flops=number(arm.necessary_flops),
        executed_flops=formula["prefill_flops"] + decode if formula else math.nan,
        decode_flops=decode if formula else math.nan,
        moved_bytes=sum(bytes_N) + copied if formula else math.nan,
        copied_bytes=copied if formula else math.nan,
        kv_reserved_bytes=number(arm.kv_reserved_bytes),
        kv_used_bytes=number(arm.kv_used_bytes),
        kv_reserved_blocks=number(arm.kv_reserved_blocks),
        kv_used_blocks=number(arm.kv_used_blocks),
        kv_cross_bytes=_cross_bytes(arm, formula),
        peak_memory_bytes=number(arm.peak_memory_bytes),
        rss_bytes=number(arm.rss_bytes),
        loaded_rss_bytes=number(arm.loaded_rss_bytes),
        decode_rss_bytes=number(arm.decode_rss_bytes),
        predicted_peak_bytes=number(fits.get("peak_bytes")),
        batch_max=number(fits.get("batch_max")),
        length_max=number(fits.get("length_max")),
        memory_bytes=number(cell.get("memory_bytes")),
        model_weight_bytes=number(cell.get("weight_bytes")),
        dispatch_s=number(arm.dispatch_s),
        prefill_flops=number(bound.get("prefill_flops")),
        prefill_bytes=number(bound.get("prefill_bytes")),
        floor_flops=decode or math.nan,
        floor_bytes=sum(bytes_N) / len(bytes_N) if bytes_N else math.nan,
        floor_weight_bytes=sum(weights) / len(weights) if weights else math.nan,
        read_bytes_per_s=ceilings.read_bytes_per_s.median,
        peak_flops_per_s=ceilings.flops_per_s.median,
        floor_s=floor_s(bytes_N, bound.get("step_flops", [])[taken], ceilings),
        cache_resident=resident_share(bytes_N, ceilings.cache_bytes),
    )
