"""Case by case and figure by figure: how the second run differs from the first, and whether that is for worse."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd

from ..statistics import CONFIDENCE, Ratio
from ..verdict import verdict
from .runs import CASE, RunRead

DETERMINISTIC = (
    "executed_flops", "step_bytes", "kv_reserved_bytes", "kv_used_bytes", "peak_memory_bytes", "flops_waste",
)  # fmt: skip
"""Figures that equal runs have equal, of which less is better."""
COLUMNS = [*CASE, "figure", "kind", "a", "b", "change", "change_low", "change_high", "verdict", "gate"]
"""``kind``: deterministic, ratio (to the baseline of its own run) or time (unpaired). ``change``: b / a with its 95 %
interval. ``gate``: yes where it fails the comparison."""


def compare_runs(a: RunRead, b: RunRead, margin: float, time_margin: float | None, times: bool) -> pd.DataFrame:
    """One row a figure of each case that both runs measured.

    ``margin``: by how much a within-run ratio may worsen, 0.02 for 2 %. ``time_margin``: the same for times, None to
    judge none by them. ``times``: whether the machines are the same, so that times mean anything.
    """
    rows: list[dict[str, Any]] = []
    for key in a.table.index.intersection(b.table.index):
        left, right = a.table.loc[key], b.table.loc[key]
        case = dict(zip(CASE, key, strict=True))
        if left["status"] != "ok" or right["status"] != "ok":
            worse = left["status"] == "ok"
            rows.append(
                {
                    **case,
                    "figure": "status",
                    "kind": "deterministic",
                    "verdict": f"{left['status']} -> {right['status']}",
                }
                | {"gate": "yes" if worse else ""}
            )
            continue
        rows += [case | _deterministic(name, float(left[name]), float(right[name])) for name in DETERMINISTIC]
        if left["strategy"] != left["baseline"] and left["baseline"] == right["baseline"]:
            change = quotient(_of_table(left), _of_table(right))
            rows.append(case | _judged("e2e_ratio", "ratio", left["e2e_ratio"], right["e2e_ratio"], change, margin))
        if times:
            change = quotient(*(_of_rounds(run.e2e_s.get(tuple(key), [])) for run in (a, b)))
            row = _judged("e2e_s", "time", left["e2e_s"], right["e2e_s"], change, time_margin or margin)
            rows.append(case | row | ({} if time_margin else {"gate": ""}))
            rows += [case | row for row in _calibrated(left, right)]
    return pd.DataFrame(rows, columns=COLUMNS)


def _calibrated(a: pd.Series[Any], b: pd.Series[Any]) -> list[dict[str, Any]]:
    """The time in which this machine would have read so much: seconds times the calibration's GB/s, where both have it.

    Drift of the machine between the runs divides out, as far as it is that of a streaming read; no verdict.
    """
    name = "calibration_read_gb_per_s"
    if name not in a.index or name not in b.index or pd.isna(a[name]) or pd.isna(b[name]):
        return []
    first, second = float(a["e2e_s"] * a[name]), float(b["e2e_s"] * b[name])
    return [{"figure": "e2e_calibrated_gb", "kind": "time", "a": first, "b": second, "change": second / first}]


def _deterministic(name: str, a: float, b: float) -> dict[str, Any]:
    same = a == b or (math.isnan(a) and math.isnan(b))
    word = "same" if same else "missing" if math.isnan(a) or math.isnan(b) else "grew" if b > a else "shrank"
    change = b / a if a else math.nan
    return {"figure": name, "kind": "deterministic", "a": a, "b": b, "change": 1.0 if same else change} | {
        "verdict": word,
        "gate": "yes" if word in ("grew", "missing") else "",
    }


def _judged(name: str, kind: str, a: float, b: float, change: Ratio, margin: float) -> dict[str, Any]:
    word = verdict(change, margin)
    return {
        "figure": name,
        "kind": kind,
        "a": a,
        "b": b,
        "change": change.value if not math.isnan(change.value) else b / a,
        "change_low": change.low,
        "change_high": change.high,
        "verdict": word,
        "gate": "yes" if word == "slower" else "",
    }


class _Mean:
    """A mean of logarithms, its squared standard error, and how many rounds it is from."""

    def __init__(self, mean: float, error: float, rounds: int) -> None:
        self.mean, self.variance, self.rounds = mean, error**2, rounds


def _of_table(row: pd.Series[Any]) -> _Mean:
    """From a ratio and its interval, whose half width on the log scale is t times the standard error."""
    from scipy.special import stdtrit

    rounds = int(row["rounds"])
    if rounds < 2:
        return _Mean(math.log(row["e2e_ratio"]), math.nan, rounds)
    half = (math.log(row["e2e_ratio_high"]) - math.log(row["e2e_ratio_low"])) / 2
    return _Mean(math.log(row["e2e_ratio"]), half / float(stdtrit(rounds - 1, (1 + CONFIDENCE) / 2)), rounds)


def _of_rounds(times: Sequence[float]) -> _Mean:
    if len(times) < 2:
        return _Mean(math.nan, math.nan, len(times))
    logs = np.log(np.asarray(times, float))
    return _Mean(float(logs.mean()), float(logs.std(ddof=1)) / math.sqrt(len(logs)), len(logs))


def quotient(a: _Mean, b: _Mean) -> Ratio:
    """exp(mean of b - mean of a) with the 95 % interval of Welch 1947: unequal variances, no pairs.

    >>> ratio = quotient(_of_rounds([1.0, 1.1, 0.9, 1.0]), _of_rounds([2.0, 2.1, 1.9, 2.0]))
    >>> round(ratio.value, 2), ratio.low < 2 < ratio.high
    (2.0, True)
    """
    from scipy.special import stdtrit

    variance = a.variance + b.variance
    rounds = min(a.rounds, b.rounds)
    if math.isnan(variance) or rounds < 2:
        return Ratio(math.exp(b.mean - a.mean), math.nan, math.nan, rounds)
    half = 0.0
    if variance > 0:
        freedom = variance**2 / sum(m.variance**2 / (m.rounds - 1) for m in (a, b))
        half = float(stdtrit(freedom, (1 + CONFIDENCE) / 2)) * math.sqrt(variance)
    middle = b.mean - a.mean
    return Ratio(math.exp(middle), math.exp(middle - half), math.exp(middle + half), rounds)
