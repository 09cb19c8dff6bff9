"""What a study found, as a table and a detection curve: two rules judge the same samples."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import matplotlib as mpl
import pandas as pd
from jinja2 import Environment, StrictUndefined
from scipy.stats import binomtest

from suites.judging.ratios import paired_ratio
from suites.judging.verdict import verdict
from suites.plots.style import RC, new_figure, save
from suites.store.files import write_text

from .study import CELL, COMPARISON_S, MARGIN, Sample

CUTS = (6, 24, 100)
"""Numbers of rounds to which comparisons are cut in the second table."""
MEDIAN_RULE = 1.05
"""pytest-benchmark's ``--benchmark-compare-fail=median:5%``."""


def ours(sample: Sample) -> str:
    """Judge by the verdict on paired rounds."""
    return verdict(paired_ratio(sample.second_s, sample.first_s), MARGIN)


def medians(sample: Sample) -> str:
    """Judge by pytest-benchmark's rule for "slower", and by its mirror image for "faster"."""
    ratio = statistics.median(sample.second_s) / statistics.median(sample.first_s)
    return "slower" if ratio > MEDIAN_RULE else "faster" if ratio < 1 / MEDIAN_RULE else "neither"


Rule = Callable[[Sample], str]
RULES: dict[str, Rule] = {"ours, margin 2 %": ours, "median:5% (pytest-benchmark)": medians}


def judge(samples: Sequence[Sample], rules: Mapping[str, Rule]) -> pd.DataFrame:
    """Return one row per rule and slowdown: comparisons, how many were called different, and Wilson's 95 % interval.

    With slowdown 0, every call is a false alarm. Otherwise ``found`` counts "slower", and "faster" is the wrong sign.
    """
    rows = []
    for name, rule in rules.items():
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


def shortened(samples: Sequence[Sample], rounds: int) -> list[Sample]:
    """Return the same comparisons as if each had ended after ``rounds`` rounds."""
    return [replace(s, first_s=s.first_s[:rounds], second_s=s.second_s[:rounds]) for s in samples]


def write_report(samples: Sequence[Sample], docs: Path) -> None:
    """Write study.md and images/study.png into ``docs``."""
    found = judge(samples, RULES)
    _draw(found, docs / "images")
    counts = sorted(len(sample.first_s) for sample in samples)
    first = dict(list(RULES.items())[:1])
    environment = Environment(undefined=StrictUndefined, keep_trailing_newline=True)
    environment.filters |= {"slow": _slow, "share": _share, "bound": _bound}
    page = environment.from_string(Path(__file__).with_name("study.md.jinja").read_text()).render(
        samples=len(samples),
        seconds=f"{COMPARISON_S:g}",
        fewest=counts[0],
        most=counts[-1],
        steps=CELL.tgt_len,
        step_ms=f"{1e3 * statistics.median(sample.step_s for sample in samples):.2g}",
        cpus=" and ".join(sorted({f"an {sample.cpu}" for sample in samples})),
        rows=found.to_dict("records"),
        alarms=found[found["slowdown"] == 0].to_dict("records"),
        shares=sorted({sample.share for sample in samples}),
        cuts=[(count, judge(shortened(samples, count), first).to_dict("records")) for count in CUTS],
    )
    write_text(docs / "study.md", page)


def _slow(share: float) -> str:
    return f"{share:.0%}" if share else "none (false alarms)"


def _share(row: Mapping[str, float]) -> str:
    return f"{row['found'] / row['comparisons']:.1%} [{row['low']:.1%}, {row['high']:.1%}]"


def _bound(row: Mapping[str, int]) -> str:
    return f"{binomtest(row['found'], row['comparisons'], alternative='less').proportion_ci().high:.1%}"


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
