"""How each figure of each case differs between two runs, and whether the second run is worse."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pandas as pd

from ..judging.baseline import baseline_of, end_to_end_s
from ..judging.ratios import Ratio
from ..settings.config import ConfigError
from ..words.quality import is_approximate
from ..words.quantity import counted
from . import quality
from .matching import Matched
from .quotients import Mean, quotient, verdicts
from .runs import CASE, Key, RunRead

DETERMINISTIC = (
    "executed_flops", "step_bytes", "kv_reserved_bytes", "kv_used_bytes", "peak_memory_bytes", "flops_waste",
)  # fmt: skip
"""Figures that are equal in equal runs. For all of them, less is better."""
CALIBRATED = {"e2e_read_gb": "calibration_read_gb_per_s", "e2e_gemm_gflop": "calibration_gemm_gflops_per_s"}
"""Figure -> column of a speed of the machine. The figure is end-to-end time x that speed in the same rounds.

It says how much the machine would have read or multiplied in that time.
"""
COLUMNS = [
    "cell", *CASE, "figure", "kind", "baseline", "a", "b", "change", "change_low", "change_high", "p_holm", "verdict",
    "gate", "margin",
]  # fmt: skip
"""``kind``: deterministic, quality, ratio (to ``baseline`` in the same run) or time (unpaired). ``change``: b / a with
its 95 % confidence interval. ``p_holm``: p-value adjusted over all rows of its kind. ``gate``: yes if the row fails the
comparison. ``margin``: the share by which a row that was judged may worsen."""


def compare_runs(
    a: RunRead, b: RunRead, matched: Matched, margin: float, time_margin: float | None, times: bool
) -> tuple[pd.DataFrame, list[str]]:
    """Return (one row per figure of each case in both runs and one per case that the second lost, notes on baselines).

    ``margin``: by how much a within-run ratio may worsen, 0.02 for 2 %. ``time_margin``: the same for times, None to
    judge no time. ``times``: whether the machines are the same, so that times mean anything. Raises ConfigError if
    different baselines leave nothing to compare ratios with.
    """
    bases, notes = _bases(a, b, matched.both)
    rows = [_case(a.rows[key]) | _status(a.rows[key]["status"], "missing") for key in matched.lost]
    for key in matched.both:
        left, right = a.rows[key], b.rows[key]
        case, base = _case(left), bases.get(key[0], "")
        if not _both_ok(a, b, key):
            rows.append(case | _status(left["status"], right["status"]))
            continue
        rows += [case | _deterministic(name, float(left[name]), float(right[name])) for name in DETERMINISTIC]
        rows += [case | row for row in quality.changes(left, right)]
        if base and key[1] != base:
            first, second = _ratio(a, key, base), _ratio(b, key, base)
            row = _changed("e2e_ratio", "ratio", math.exp(first.log), math.exp(second.log), quotient(first, second))
            rows.append(case | row | {"baseline": base})
        if times:
            change = quotient(*(Mean.of(list(_totals(run, key).values())) for run in (a, b)))
            rows.append(case | _changed("e2e_s", "time", left["e2e_s"], right["e2e_s"], change))
            rows += [case | row for row in _calibrated(left, right)]
    _judge([row for row in rows if row["figure"] == "e2e_ratio"], margin)
    if time_margin is not None:
        _judge([row for row in rows if row["figure"] == "e2e_s"], time_margin)
    found = pd.DataFrame(rows, columns=COLUMNS)
    if notes and not {"e2e_ratio", "status"} & set(found["figure"]):
        raise ConfigError(f"compare: {'; '.join(notes)}; measure one strategy more in both runs")
    return found, notes


def _both_ok(a: RunRead, b: RunRead, key: Key) -> bool:
    return all(run.rows[key]["status"] == "ok" for run in (a, b))


def _bases(a: RunRead, b: RunRead, both: list[Key]) -> tuple[dict[str, str], list[str]]:
    """By cell, the strategy that ratios are to: the baseline of both runs, or one that both timed in raw rounds."""
    timed: dict[str, list[str]] = {}
    for cell, strategy in both:
        if _both_ok(a, b, (cell, strategy)):
            timed.setdefault(cell, []).append(strategy)
    bases: dict[str, str] = {}
    changed, none = Counter[str](), Counter[str]()
    for cell, strategies in timed.items():
        first, second = (str(run.rows[cell, strategies[0]]["baseline"]) for run in (a, b))
        if first == second:
            bases[cell] = first
        elif len(strategies) > 1 and cell in a.cells and cell in b.cells:
            approximate = [label for label in strategies if is_approximate(a.rows[cell, label])]
            bases[cell] = baseline_of(strategies, approximate)
            changed[f"baselines differ ({first} and {second}): ratios to {bases[cell]}, of the raw rounds"] += 1
        else:
            why = "share only one strategy" if len(strategies) == 1 else "keep no raw rounds for other ratios"
            none[f"baselines differ ({first} and {second}), and the runs {why}: no ratio is judged"] += 1
    return bases, [f"{text} ({counted(count, 'cell')})" for text, count in (changed | none).items()]


def _case(row: dict[str, Any]) -> dict[str, Any]:
    return {name: row[name] for name in ("cell", *CASE)}


def _status(a: str, b: str) -> dict[str, Any]:
    gate = "yes" if a == "ok" != b else ""
    return {"figure": "status", "kind": "deterministic", "verdict": f"{a} -> {b}", "gate": gate}


def _deterministic(name: str, a: float, b: float) -> dict[str, Any]:
    """The row of a deterministic figure. "new": the first run lacks it; "missing": the second run lacks it."""
    gone, came = math.isnan(b), math.isnan(a)
    same = a == b or (gone and came)
    word = "same" if same else "missing" if gone else "new" if came else "grew" if b > a else "shrank"
    change = 1.0 if same else b / a if a else math.nan
    gate = "yes" if word in ("grew", "missing") else ""
    return {"figure": name, "kind": "deterministic", "a": a, "b": b, "change": change, "verdict": word, "gate": gate}


def _ratio(run: RunRead, key: Key, base: str) -> Mean:
    """Mean log ratio to ``base``, from the rounds that both have, or from the table if raw rounds are not kept."""
    if key[0] not in run.cells:
        row = run.rows[key]
        return Mean.of_interval(row["e2e_ratio"], row["e2e_ratio_low"], row["e2e_ratio_high"], int(row["rounds"]))
    mine, theirs = _totals(run, key), _totals(run, (key[0], base))
    return Mean.of([mine[index] / theirs[index] for index in sorted(mine.keys() & theirs.keys())])


def _totals(run: RunRead, key: Key) -> dict[int, float]:
    """End-to-end seconds of the counted rounds by index; empty if raw rounds are not kept."""
    return end_to_end_s(run.cells[key[0]].rounds, key[1]) if key[0] in run.cells else {}


def _calibrated(a: dict[str, Any], b: dict[str, Any]) -> list[dict[str, Any]]:
    """Rows of seconds x a speed of the machine, in 1e9 bytes or FLOPs, without verdicts, where both runs have it."""
    rows = []
    for figure, speed in CALIBRATED.items():
        first, second = (float(row["e2e_s"] * row[speed]) if speed in row else math.nan for row in (a, b))
        if not math.isnan(first + second):
            rows.append({"figure": figure, "kind": "time", "a": first, "b": second, "change": second / first})
    return rows


def _changed(name: str, kind: str, a: float, b: float, change: Ratio) -> dict[str, Any]:
    """A row without its verdict. Its entry ``ratio`` is for ``_judge`` and is no column."""
    value = b / a if math.isnan(change.value) else change.value
    interval = {"change_low": change.low, "change_high": change.high}
    return {"figure": name, "kind": kind, "a": a, "b": b, "change": value, **interval, "ratio": change}


def _judge(rows: list[dict[str, Any]], margin: float) -> None:
    """Give verdicts to one family of rows, with p-values adjusted over all of them."""
    for row, (p, word) in zip(rows, verdicts([row["ratio"] for row in rows], margin), strict=True):
        row |= {"p_holm": p, "verdict": word, "gate": "yes" if word == "slower" else "", "margin": margin}
