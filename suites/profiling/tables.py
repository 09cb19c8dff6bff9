"""The calls of a profile added up: by range, by operator, and as the three shares of a decode step."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from ..store.files import write_text
from ..store.frame import as_csv
from .calls import Call
from .shapes import across_steps
from .trace import Trace

KINDS = {"product_s": "matrix products", "other_s": "other operators", "python_s": "Python and dispatch"}
STEP = "decode_step"
RANGE_COLUMNS = [
    "strategy", "range", "calls", "products", "time_s", "self_s", *KINDS, "device_s", "allocated_bytes", "share",
]  # fmt: skip
OPERATOR_KEYS = ["strategy", "range", "operator", "kind", "shapes"]


def range_path(ranges: Sequence[str]) -> str:
    """Join the names of ranges without their numbers, so that steps and layers that do the same are one row.

    >>> range_path(("decode_step 61", "layer 0", "ffn"))
    'decode_step/layer/ffn'
    """
    return "/".join(name.split()[0] for name in ranges)


def operator_s(call: Call, device: str) -> float:
    """Seconds of an operator without the operators that it calls: host time on the CPU, kernel time on a GPU."""
    return call.device_s if device == "cuda" else call.self_s


def range_table(trace: Trace) -> pd.DataFrame:
    """Return one row per range, with sums over all its calls, parents first, in seconds and bytes.

    ``time_s`` is the range's duration on the host, and ``self_s`` the part of it in no narrower range. ``product_s``
    and ``other_s`` are times of the operators inside it, and ``python_s`` is the rest. On a GPU, where kernels run
    later, ``python_s`` is known only for whole steps and for prefill. ``device_s`` is the time of the kernels on a GPU
    that were launched inside the range: those of operators, and those that no operator launched, which ``other_s``
    holds as well. ``share`` is the part of prefill or of the steps.
    """
    sums: dict[str, dict[str, float]] = {}
    for call in trace.calls:
        if call.is_range:
            path = range_path(call.ranges)
            row = sums.setdefault(path, dict.fromkeys(RANGE_COLUMNS[2:], 0))
            row["calls"] += 1
            row["time_s"] += call.total_s
            row["self_s"] += call.total_s
            if parent := path.rpartition("/")[0]:
                sums[parent]["self_s"] -= call.total_s
        for depth in range(1, len(call.ranges) + 1):
            row = sums[range_path(call.ranges[:depth])]
            row["device_s"] += call.device_s
            if call.is_range:
                row["other_s"] += call.device_s if trace.device == "cuda" else 0.0
                continue
            row["products"] += call.products
            row["product_s" if call.in_product else "other_s"] += operator_s(call, trace.device)
            row["allocated_bytes"] += call.allocated_bytes
    for path, row in sums.items():
        known = trace.device == "cpu" or "/" not in path
        row["python_s"] = row["time_s"] - row["product_s"] - row["other_s"] if known else math.nan
        row["share"] = row["time_s"] / sums[path.partition("/")[0]]["time_s"]
    rows = [{"strategy": trace.label, "range": path, **row} for path, row in sums.items()]
    return pd.DataFrame(rows, columns=RANGE_COLUMNS)


def operator_table(trace: Trace) -> pd.DataFrame:
    """Return one row per operator and shapes in prefill or in the steps, with sums over all its calls, longest first.

    A dimension that changes from step to step is a range, such as 61..64. ``self_s`` leaves out the operators that it
    calls, and so does ``device_s``, the time of its kernels on a GPU. ``share`` is the part of the time of prefill or
    of the steps, whichever ``range`` names.
    """
    whole_s: dict[str, float] = defaultdict(float)
    rows = []
    for call in across_steps(trace.calls):
        root = range_path(call.ranges[:1])
        if call.is_range:
            whole_s[root] += call.total_s if len(call.ranges) == 1 else 0
            continue
        rows.append(
            {
                "strategy": trace.label,
                "range": root,
                "operator": call.name.removeprefix("aten::"),
                "kind": KINDS["product_s" if call.in_product else "other_s"],
                "shapes": call.shapes,
                "calls": 1,
                "self_s": call.self_s,
                "device_s": call.device_s,
                "allocated_bytes": call.allocated_bytes,
                "share": operator_s(call, trace.device),
            }
        )
    table = pd.DataFrame(rows).groupby(OPERATOR_KEYS, sort=False, as_index=False).sum()
    table["share"] /= table["range"].map(whole_s)
    return table.sort_values(["range", "share"], ascending=[False, False], kind="stable", ignore_index=True)


def step_of(ranges: pd.DataFrame) -> dict[str, float]:
    """Mean seconds per decode step: ``time_s``, and the parts of ``KINDS`` that it consists of."""
    row = ranges[ranges["range"] == STEP].iloc[0]
    return {name: float(row[name]) / int(row["calls"]) for name in ("time_s", *KINDS)}


def apportion(parts: Sequence[float], whole: int) -> list[int]:
    """Return whole numbers close to ``parts`` with the sum ``whole``, by the method of largest remainders.

    >>> apportion([62.5, 6.25], 69)
    [63, 6]
    """
    rounded = [math.floor(part) for part in parts]
    by_remainder = sorted(range(len(parts)), key=lambda i: rounded[i] - parts[i])
    for i in by_remainder[: whole - sum(rounded)]:
        rounded[i] += 1
    return rounded


def percents(parts: Sequence[float]) -> list[int]:
    """Return whole percentages of the sum, which add up to 100.

    >>> percents([1, 1, 1]), percents([12, -2])
    ([34, 33, 33], [120, -20])
    """
    return apportion([100 * part / sum(parts) for part in parts], 100)


def unprofiled_table(traces: Sequence[Trace]) -> pd.DataFrame:
    """Return one row per decode without the profiler: mean seconds per step. Decodes of one ``round`` are paired."""
    rows = [(trace.label, index, step_s) for trace in traces for index, step_s in enumerate(trace.unprofiled_s)]
    return pd.DataFrame(rows, columns=["strategy", "round", "step_s"])


def write_tables(run_dir: Path, ranges: pd.DataFrame, operators: pd.DataFrame, unprofiled: pd.DataFrame) -> None:
    """Write ranges.csv, operators.csv and unprofiled.csv."""
    for name, table in (("ranges", ranges), ("operators", operators), ("unprofiled", unprofiled)):
        write_text(run_dir / f"{name}.csv", as_csv(table))
