"""What a study found: two rules judge the same samples; a table and a detection curve."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from scipy.stats import binomtest

from suites.environment import cpu_name
from suites.plots.style import RC, new_figure, save
from suites.statistics import paired_ratio
from suites.verdict import verdict

from .study import CELL, COMPARISON_S, MARGIN, Sample

MEDIAN_RULE = 1.05
"""pytest-benchmark's ``--benchmark-compare-fail=median:5%``."""

READING = """\
The two rules answer different questions: a threshold of 5 % on medians is not made to find less than 5 %, and finds
5 % itself only by luck. The slowdown is a share of the median round, prefill included, as it was in thirty rounds
right before the comparison. Rounds are short because noise that outlasts a round falls on both arms and divides
out; noise within a round does not. What the study says holds for one process: two processes of the same code may
differ for as long as they live, which is why `make bench-compare` starts several pairs of them.""".split("\n")


def ours(sample: Sample) -> str:
    """The verdict on paired rounds: slower, faster, or neither."""
    return verdict(paired_ratio(sample.second_s, sample.first_s), MARGIN)


def medians(sample: Sample) -> str:
    """pytest-benchmark's rule, and the same rule the other way round for the sign."""
    ratio = statistics.median(sample.second_s) / statistics.median(sample.first_s)
    return "slower" if ratio > MEDIAN_RULE else "faster" if ratio < 1 / MEDIAN_RULE else "neither"


RULES: dict[str, Callable[[Sample], str]] = {"ours, margin 2 %": ours, "median:5% (pytest-benchmark)": medians}


def judge(samples: Sequence[Sample]) -> pd.DataFrame:
    """One row a rule and slowdown: comparisons, how many were called slower and faster, with Wilson's 95 % interval.

    For slowdown 0 either call is a false alarm; otherwise ``found`` counts slower, and faster is the wrong sign.
    """
    rows = []
    for name, rule in RULES.items():
        for share in sorted({sample.share for sample in samples}):
            calls = [rule(sample) for sample in samples if sample.share == share]
            found = calls.count("slower") + (calls.count("faster") if share == 0 else 0)
            interval = binomtest(found, len(calls)).proportion_ci(method="wilson")
            rows.append(
                {
                    "rule": name,
                    "slowdown": share,
                    "comparisons": len(calls),
                    "found": found,
                    "low": interval.low,
                    "high": interval.high,
                    "wrong_sign": calls.count("faster") if share else 0,
                }
            )
    return pd.DataFrame(rows)


def write_report(samples: Sequence[Sample], docs: Path) -> None:
    """study.md and images/study.png in ``docs``."""
    found = judge(samples)
    _draw(found, docs / "images")
    rounds = sorted(len(sample.first_s) for sample in samples)
    step_ms = 1e3 * statistics.median(sample.step_s for sample in samples)
    lines = [
        "# How often a comparison is right",
        "",
        f"One decoder, compared with itself and with itself slowed by a busy wait in each step: {len(samples)}",
        f"comparisons of {COMPARISON_S:g} s, each of {rounds[0]} to {rounds[-1]} paired rounds of a prefill and "
        f"{CELL.tgt_len} steps of {step_ms:.2g} ms,",
        f"on one core of an {cpu_name()}, with load on the other. Two rules judge the same samples. Ours is the",
        "verdict of `suites.verdict` at a margin of 2 %, fixed before the first sample; the other is",
        "pytest-benchmark's `--benchmark-compare-fail=median:5%`. `make study` takes the samples and writes this page.",
        "",
        "![Detection against slowdown, by rule](images/study.png)",
        "",
        "| rule | slowdown | comparisons | called different | share, with Wilson's 95 % interval | wrong sign |",
        "|---|---:|---:|---:|---|---:|",
    ]
    for row in found.to_dict("records"):
        share = f"{row['found'] / row['comparisons']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"
        slow = f"{row['slowdown']:.0%}" if row["slowdown"] else "none (false alarms)"
        lines.append(
            f"| {row['rule']} | {slow} | {row['comparisons']} | {row['found']} | {share} | {row['wrong_sign']} |"
        )
    lines += ["", *_reading(found)]
    (docs / "study.md").write_text("\n".join(lines) + "\n")


def _reading(found: pd.DataFrame) -> list[str]:
    """What the false alarms bound, and what the study cannot say."""
    bounds = []
    for row in found[found["slowdown"] == 0].to_dict("records"):
        high = binomtest(row["found"], row["comparisons"], alternative="less").proportion_ci().high
        bounds.append(
            f"- {row['rule']}: {row['found']} false alarms in {row['comparisons']}, so with 95 % confidence they are "
            f"at most {high:.1%} of all such comparisons (Clopper and Pearson, one-sided)."
        )
    return [*bounds, "", *READING]


def _draw(found: pd.DataFrame, folder: Path) -> None:
    alarms = found[(found["slowdown"] == 0) & (found["rule"] == next(iter(RULES)))].iloc[0]
    five = found[(found["slowdown"] == 0.05) & (found["rule"] == next(iter(RULES)))]
    title = f"{alarms['found']} false alarms in {alarms['comparisons']}" + (
        f"; a slowdown of 5 % found in {five.iloc[0]['found']} of {five.iloc[0]['comparisons']}" if len(five) else ""
    )
    drawn, [[axes]] = new_figure(title, "Bars: Wilson's 95 % interval. Ours judges paired rounds, the other medians.")
    with mpl.rc_context(RC):
        for (name, rows), color, marker in zip(
            found.groupby("rule", sort=False), ("#0072B2", "#D55E00"), "os", strict=False
        ):
            share = rows["found"] / rows["comparisons"]
            bars = [share - rows["low"], rows["high"] - share]
            axes.errorbar(
                rows["slowdown"] * 100,
                share * 100,
                yerr=[100 * b for b in bars],
                color=color,
                marker=marker,
                capsize=3,
                label=name,
            )
        axes.set_xlabel("true slowdown of a step (%)")
        axes.set_ylabel("called different (%)")
        axes.set_ylim(-2, 102)
        axes.legend()
    save(drawn, folder, "study")
