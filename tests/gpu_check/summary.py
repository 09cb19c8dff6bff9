"""What the steps found: one table of all runs, three plots, and which wanted figure was reached, in summary.txt.

`python -m tests.gpu_check.summary RUNS OUT`. RUNS holds run folders, named by their steps, `steps.tsv` (name, exit
status, seconds, limit) and `figures.jsonl` (`direct.py`). A figure that no step measured is *not measured*.
"""

import json
import shutil
import sys
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

COPY_SHARE = 0.70
"""Share of the measured copy bandwidth that a captured step of a large model is to read its bytes at."""
PEER_RATIO = 3.0
"""Times as long as our fastest strategy that transformers' compiled static cache is to take."""
HARNESS = 0.01
"""Share of a round that measuring it may cost."""
NO_TIME = "no time left"
PLOTS = "bf16/plots/step_latency.png", "bf16/plots/totals.png", "large/plots/roofline.png"
SHOWN = [
    "step", "dtype", "weights", "batch_size", "src_len", "strategy", "status", "reason", "max_logit_error", "prefill_s",
    "itl_s", "tpot_s", "dispatch_s", "e2e_s", "copy_share", "peak_memory_bytes", "predicted_peak_bytes", "setup_s",
]  # fmt: skip


def all_rows(runs: Path) -> pd.DataFrame:
    """The tables of all runs below one another, with the step's name and the share of the copy bandwidth."""
    paths = [path for path in sorted(runs.glob("*/table.csv")) if not path.parent.is_symlink()]  # not `latest` again
    found = [pd.read_csv(path).assign(step=path.parent.name) for path in paths]
    if not found:
        return pd.DataFrame(columns=["step", "strategy", "status"])
    table = pd.concat([part.dropna(axis=1, how="all") for part in found], ignore_index=True)
    for column in ("step_bytes", "tpot_s", "ceiling_copy_gb_per_s"):
        if column not in table:
            table[column] = float("nan")
    table["copy_share"] = table["step_bytes"] / table["tpot_s"] / (table["ceiling_copy_gb_per_s"] * 1e9)
    return table


def of_strategy(table: pd.DataFrame, step: str, start: str) -> pd.DataFrame:
    return table[(table["step"] == step) & table["strategy"].str.startswith(start) & (table["status"] == "ok")]


def wanted(table: pd.DataFrame, direct: list[dict]) -> Iterator[tuple[str, str, bool | None]]:
    """(What is wanted, what was found, whether that is reached; None: not measured)."""
    waits = [one for one in direct if one["waits"] is not None]
    yield (
        "0 waits for the device between steps",
        ", ".join(f"{one['model']} {one['strategy']}: {one['waits']}" for one in waits),
        not any(one["waits"] for one in waits) if waits else None,
    )
    for step in ("large", "xl"):
        rows = of_strategy(table, step, "static_kv(execution=graph")
        share = None if rows.empty else rows["copy_share"].max()
        found = "" if share is None else f"{share:.0%} at {rows['tpot_s'].min() * 1e3:.3f} ms a step"
        text = f"{step}, batch 1, captured: at least {COPY_SHARE:.0%} of the measured copy bandwidth"
        yield text, found, None if share is None else bool(share >= COPY_SHARE)
    rows = of_strategy(table, "peers", "transformers_static_compiled")
    for _, row in rows.iterrows():
        found = f"{row['best_ratio']:.2f} [{row['best_ratio_low']:.2f}, {row['best_ratio_high']:.2f}] times as long"
        yield peer_text(row["best_strategy"]), found, bool(row["best_ratio"] >= PEER_RATIO)
    if rows.empty:
        yield peer_text("static_kv"), "", None
    timed = [one for one in direct if "harness_ratio" in one]
    for one in timed:
        low, high = one["harness_low"] - 1, one["harness_high"] - 1
        found = f"{one['harness_ratio'] - 1:+.2%} [{low:+.2%}, {high:+.2%}]"
        yield (
            f"measuring costs less than {HARNESS:.0%} of a round, {one['model']} {one['strategy']}",
            found,
            bool(one["harness_ratio"] - 1 < HARNESS),
        )
    if not timed:
        yield f"measuring costs less than {HARNESS:.0%} of a round", "", None


def peer_text(strategy: str) -> str:
    return f"transformers' compiled static cache takes at least {PEER_RATIO:g} times as long as {strategy}"


def growing_beside_static(table: pd.DataFrame) -> Iterator[str]:
    """Time of a step with the growing cache over that with the static one, per run, lengths and execution."""
    for step in ("bf16", "fp32", "compiled", "compiled_fp32"):
        growing, static = (of_strategy(table, step, name) for name in ("contiguous_kv", "static_kv"))
        for _, one in growing.iterrows():
            same = static[(static["src_len"] == one["src_len"]) & (static["execution"] == one["execution"])]
            for _, other in same.iterrows():
                yield (
                    f"{step}, {one['src_len']:.0f} tokens, {one['execution']}: {one['tpot_s'] / other['tpot_s']:.2f} "
                    f"({one['tpot_s'] * 1e3:.3f} and {other['tpot_s'] * 1e3:.3f} ms a step)"
                )


def beams_beside_shared(table: pd.DataFrame) -> Iterator[str]:
    """Time and bytes of a step of each strategy over those of static_kv whose beams share the source, per execution."""
    rows = of_strategy(table, "beams", "")
    for execution, alike in rows.groupby("execution") if len(rows) else ():
        options = alike["strategy"].str.contains("cross_beams|reorder|contiguous_kv")
        for _, shared in alike[~options].iterrows():
            for _, other in alike[options].iterrows():
                yield (
                    f"{other['strategy']}, {execution}, source of {other['src_len']:.0f} tokens: "
                    f"{other['tpot_s'] / shared['tpot_s']:.2f} times the time, "
                    f"{other['step_bytes'] / shared['step_bytes']:.2f} times the bytes "
                    f"({other['tpot_s'] * 1e3:.3f} and {shared['tpot_s'] * 1e3:.3f} ms a step)"
                )


def told_steps(lines: list[list[str]]) -> Iterator[str]:
    left = [name for name, code, *_ in lines if code == NO_TIME]
    ran = [line for line in lines if line[1] not in ("0", NO_TIME)]
    failed = [f"{name} (exit status {code} after {took} s of {limit} s)" for name, code, took, limit in ran]
    yield f"failed steps: {', '.join(failed) or 'none'}"
    yield f"no time was left for: {', '.join(left) or 'none'}"


def summary(runs: Path, table: pd.DataFrame) -> str:
    steps = [line.split("\t") for line in (runs / "steps.tsv").read_text().splitlines()]
    figures = runs / "figures.jsonl"
    direct = [json.loads(line) for line in figures.read_text().splitlines()] if figures.exists() else []
    lines = list(told_steps(steps))
    if "device" in table and (table["device"] == "cpu").any():
        lines.append("a dry run on a CPU: what it found means nothing")
    for text, found, reached in wanted(table, direct):
        verdict = {True: "reached", False: "NOT REACHED", None: "not measured"}[reached]
        lines.append(f"{verdict:12} {text}{': ' + found if found else ''}")
    lines += ["", "a step with the growing cache over one with the static cache:", *growing_beside_static(table), ""]
    lines += ["a step of 4 beams over one of static_kv whose beams share the source:", *beams_beside_shared(table), ""]
    with pd.option_context("display.width", 300, "display.max_colwidth", 60):
        lines.append(table[[name for name in SHOWN if name in table]].to_string(index=False))
    return "\n".join(lines) + "\n"


def main(runs: Path, out: Path) -> None:
    table = all_rows(runs)
    table.to_csv(out / "tables.csv", index=False)
    (out / "summary.txt").write_text(summary(runs, table))
    for plot in map(Path, PLOTS):
        if (runs / plot).exists():
            shutil.copy(runs / plot, out / f"{plot.parts[0]}_{plot.name}")
    if (runs / "roofline" / "roofline.json").exists():
        shutil.copy(runs / "roofline" / "roofline.json", out)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
