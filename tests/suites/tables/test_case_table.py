"""From rounds to tables: every figure worked out by hand, and what becomes of what is missing."""

import dataclasses
import math

import pandas as pd
import pytest
from pandas.testing import assert_frame_equal

from suites.judging.baseline import BASELINE
from suites.judging.ratios import paired_ratio
from suites.metrics import Metric, metrics
from suites.store.cell_folder import CellResult
from suites.store.files import ResultsError
from suites.store.records import ArmResult, Round
from suites.tables import case_table as table_module
from suites.tables import columns
from suites.tables.case_table import case_table
from suites.tables.step_table import STEP_COLUMNS, step_table
from suites.tables.table_files import read_tables, write_tables

STEPS = 3
CELL = {
    "model": {"name": "m"},
    "device": "cpu",
    "dtype": "fp32",
    "threads": 1,
    "batch_size": 2,
    "src_len": 4,
    "tgt_len": STEPS,
    "stop": "fixed",
    "seed": 0,
    "real_fraction": 0.75,
}
FORMULAS = {
    "prefill_flops": 40,
    "step_flops": [10, 20, 30],
    "weight_bytes": [8, 8, 8],
    "self_kv_bytes": [1, 2, 3],
    "cross_kv_bytes": [4, 4, 4],
    "copy_bytes": [0, 1, 2],
}
TIMES = ["prefill_s", "ttft_s", "itl_s", "tpot_s", "e2e_s", "throughput_tokens_per_s"]


def ok(strategy=BASELINE, **more):
    facts = {"steps": STEPS, "row_lens": [STEPS, STEPS], "necessary_flops": 50, "setup_s": 0.5}
    return ArmResult(strategy, "ok", **facts | more)


def a_round(strategy=BASELINE, index=0, scale=1.0, warmup=False, every_step=True):
    """Prefill 1 s, tokens after 0.5, 0.25 and 1.25 s more, all times ``scale``."""
    marks_s = [0.0, 1.0, 1.5, 1.75, 3.0] if every_step else [0.0, 1.0, 1.5, 3.0]
    return Round(strategy, index, warmup, every_step, [scale * mark for mark in marks_s])


def result(arms, rounds, **cell):
    formulas = {arm.strategy: FORMULAS for arm in arms}
    return CellResult("cell", {**CELL, "formulas": formulas, **cell}, arms, rounds)


def row(arms, rounds, strategy=BASELINE, **cell):
    table = case_table([result(arms, rounds, **cell)]).set_index("strategy")
    return table.loc[strategy]


def test_figures_of_one_round_are_those_worked_out_by_hand():
    got = row([ok(peak_memory_bytes=64)], [a_round()])
    by_hand = {
        "prefill_s": 1.0, "ttft_s": 1.5, "itl_s": 0.75, "tpot_s": 0.75, "e2e_s": 3.0, "throughput_tokens_per_s": 2.0,
        "setup_s": 0.5, "executed_flops": 100, "necessary_flops": 50, "flops_waste": 2.0,
        "step_bytes": (24 + 6 + 12 + 3) / 3, "intensity_flops_per_byte": 60 / 45, "peak_memory_bytes": 64,
        "rounds": 1, "real_fraction": 0.75, "e2e_ratio": 1.0, "e2e_vs_best": 1.0,
    }  # fmt: skip
    assert {name: got[name] for name in by_hand} == pytest.approx(by_hand)
    assert math.isnan(got["e2e_ratio_low"])


def test_warm_ups_are_left_out_and_times_are_medians():
    warm = [a_round(index=-1, scale=100, warmup=True)]
    got = row([ok()], warm + [a_round(index=i, scale=s) for i, s in enumerate([1, 9, 2])])
    assert (got["rounds"], got["e2e_s"], got["prefill_s"], got["itl_s"]) == (3, 6.0, 2.0, 1.5)
    assert got["throughput_tokens_per_s"] == 1.0


def test_rows_that_end_early_count_their_own_tokens_and_the_steps_taken():
    got = row([ok(steps=2, row_lens=[1, 2])], [a_round()], stop="eos")
    assert got["throughput_tokens_per_s"] == pytest.approx(3 / 3.0)
    assert got["executed_flops"] == 40 + 10 + 20
    assert got["step_bytes"] == (16 + 3 + 8 + 1) / 2


def test_ratios_are_paired_by_the_rounds_number_whatever_the_order_of_writing():
    drift = [1.0, 4.0, 2.0, 8.0]
    slow = [a_round(BASELINE, i, s) for i, s in enumerate(drift)]
    fast = [a_round("static_kv", i, s / 2) for i, s in enumerate(drift)]
    got = row([ok(), ok("static_kv")], [*reversed(slow), *fast], "static_kv")
    assert (got["e2e_ratio"], got["e2e_ratio_low"], got["e2e_ratio_high"]) == pytest.approx((0.5, 0.5, 0.5))
    assert got["baseline"] == BASELINE
    assert row([ok(), ok("static_kv")], slow + fast)["e2e_vs_best"] == 2.0


def test_a_ratio_rests_on_the_rounds_that_both_arms_have():
    slow = [a_round(BASELINE, i, s) for i, s in ((0, 4.0), (1, 50.0), (2, 6.0), (3, 8.0))]
    fast = [a_round("static_kv", i, s) for i, s in ((0, 1.0), (2, 2.0), (3, 3.0), (4, 70.0))]
    got = row([ok(), ok("static_kv")], slow + fast, "static_kv")
    wanted = paired_ratio([1.0, 2.0, 3.0], [4.0, 6.0, 8.0])
    assert (got["e2e_ratio"], got["e2e_ratio_low"]) == pytest.approx((wanted.value, wanted.low))
    assert got["rounds"] == 4
    apart = row([ok(), ok("static_kv")], [a_round(BASELINE, 0), a_round("static_kv", 1)], "static_kv")
    assert math.isnan(apart["e2e_ratio"])
    assert apart["e2e_s"] == 3.0


@pytest.mark.parametrize("status", ["failed", "invalid", "skipped"])
def test_an_arm_that_was_not_measured_is_a_row_with_its_reason_and_no_numbers(status):
    bad = ArmResult("static_kv", status, "why, and \"how\": 'so'")
    got = row([ok(), bad], [a_round(), a_round("static_kv")], "static_kv")
    assert (got["status"], got["reason"]) == (status, bad.reason)
    assert got["rounds"] == 0
    assert got[[*TIMES, "executed_flops", "peak_memory_bytes", "e2e_ratio", "e2e_vs_best"]].isna().all()


def test_without_full_recompute_the_first_measured_strategy_is_the_baseline():
    bad = ArmResult("cross_kv", "failed", "out of memory")
    arms = [bad, ok("static_kv"), ok("contiguous_kv")]
    rounds = [a_round("static_kv"), a_round("contiguous_kv", scale=3)]
    got = row(arms, rounds, "contiguous_kv")
    assert (got["baseline"], got["e2e_ratio"]) == ("static_kv", pytest.approx(3.0))


def test_a_measured_arm_whose_rounds_are_lost_has_no_times_and_does_not_disturb_the_others():
    got = case_table([result([ok(), ok("static_kv")], [a_round("static_kv")])]).set_index("strategy")
    assert got.loc[BASELINE, TIMES].isna().all()
    assert got.loc["static_kv", "baseline"] == "static_kv"


def test_on_cuda_throughput_comes_from_rounds_without_step_marks_and_itl_from_those_with():
    without = [a_round(index=i, every_step=False) for i in range(2)]
    marked = [a_round(index=i, scale=10) for i in range(2)]
    got = row([ok()], without + marked, device="cuda")
    assert (got["e2e_s"], got["ttft_s"], got["tpot_s"], got["throughput_tokens_per_s"]) == (3.0, 1.5, 0.75, 2.0)
    assert got["itl_s"] == 7.5
    assert got["rounds"] == 2
    steps = step_table([result([ok()], without + marked)])
    assert steps["latency_s"].tolist() == [5.0, 2.5, 12.5]


def test_each_step_has_the_quartiles_of_its_gap_and_its_formulas():
    rounds = [a_round(index=i, scale=s) for i, s in enumerate([1, 2, 3, 4, 5])]
    steps = step_table([result([ok()], [a_round(scale=99, warmup=True, index=-1), *rounds])])
    assert list(steps) == STEP_COLUMNS
    assert steps["k"].tolist() == [1, 2, 3]
    for column, scale in (("latency_q25_s", 2), ("latency_s", 3), ("latency_q75_s", 4)):
        assert steps[column].tolist() == pytest.approx([scale * gap for gap in (0.5, 0.25, 1.25)])
    for column in ("weight_bytes", "self_kv_bytes", "cross_kv_bytes", "copy_bytes"):
        assert steps[column].tolist() == FORMULAS[column]
    assert steps["flops"].tolist() == FORMULAS["step_flops"]


LABELS = ["static_kv(capacity=512,read=buffer)", 'a "quoted", label', "null", "a $ b_c <script>"]


def mixed():
    """Labels that a CSV must quote or could take for nothing, numbers with every bit, and rows without any."""
    arms = [ok(label, tokens_equal=label != "null") for label in LABELS] + [
        ArmResult("bad", "failed", 'no memory, "again"')
    ]
    rounds = [a_round(label, i, 1 / (3 + i)) for label in LABELS for i in range(2)]
    skipped = result([ArmResult("x", "skipped", "no CUDA device here")], [], device="cuda")
    del skipped.cell["real_fraction"]
    return [result(arms, rounds), dataclasses.replace(skipped, id="another")]


@pytest.mark.parametrize("cells", [mixed(), mixed()[1:], []], ids=["mixed", "nothing measured", "nothing"])
def test_tables_are_read_back_equal_to_the_bit(tmp_path, cells):
    for before, after in zip(write_tables(tmp_path, cells), read_tables(tmp_path), strict=True):
        assert_frame_equal(before, after, check_exact=True, check_dtype=len(before) > 0, check_index_type=False)


def test_labels_with_commas_and_quotes_survive(tmp_path):
    write_tables(tmp_path, mixed())
    assert read_tables(tmp_path)[0]["strategy"].tolist() == [*LABELS, "bad", "x"]


def test_parquet_holds_the_same_table(tmp_path):
    pytest.importorskip("pyarrow", reason="needs pyarrow, the extra decodebench[parquet]")
    for name, frame in zip(("table", "steps"), write_tables(tmp_path, mixed()), strict=True):
        assert_frame_equal(pd.read_parquet(tmp_path / f"{name}.parquet"), frame, check_exact=True)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (None, r"table\.csv does not exist; give a folder that `run` wrote"),
        (lambda text: text[: len(text) // 2], r"table\.csv .*(ends within a line|not readable as CSV)"),
        (lambda text: text.rstrip(), r"table\.csv ends within a line; `plot --retable` makes it anew"),
        (lambda text: "", r"table\.csv is not readable as CSV"),
        (lambda text: "a,b\n1,2\n", r"table\.csv lacks the column cell; the file is damaged or foreign"),
        (lambda text: text.replace(",e2e_s,", ",e2e,"), r"table\.csv lacks the column e2e_s"),
        (lambda text: text.replace(",0.75,", ",much,"), r"table\.csv has text among the numbers of real_fraction"),
        (lambda text: b"\xff\xfe\x00", r"table\.csv is not text"),
    ],
    ids=["missing", "half", "no end of line", "empty", "foreign", "a column renamed", "text", "bytes"],
)
def test_a_damaged_table_is_refused_in_one_line(tmp_path, damage, message):
    write_tables(tmp_path, mixed())
    path = tmp_path / "table.csv"
    content = damage(path.read_text()) if damage else path.unlink()
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(ResultsError, match=message) as caught:
        read_tables(tmp_path)
    assert "\n" not in str(caught.value)


def test_a_metric_that_raises_is_empty_and_told_once_with_its_traceback_kept(tmp_path, monkeypatch, capsys):
    def raises_s(case):
        raise ValueError("a bad metric")

    def text_s(case, timed):
        return "slow"

    known = dict(metrics())
    added = {f.__name__: Metric(f.__name__, "s", "lower", "none", f is text_s, f) for f in (raises_s, text_s)}
    for module in (table_module, columns):
        monkeypatch.setattr(module, "metrics", lambda: known | added)
    cells = [result([ok(), ok("static_kv")], [a_round(), a_round("static_kv")])]
    table, _ = write_tables(tmp_path, cells)
    assert table[["raises_s", "text_s"]].isna().all(axis=None)
    assert table["e2e_s"].notna().all()
    lines = capsys.readouterr().err.splitlines()
    assert [line.partition(" (")[0] for line in lines] == [
        "decodebench: the metric raises_s is empty where it fails: ValueError: a bad metric",
        "decodebench: the metric text_s is empty where it fails: ValueError: could not convert string to float: 'slow'",
    ]
    for name in added:
        assert "Traceback" in (tmp_path / "cells" / "cell" / f"traceback-metric-{name}.txt").read_text()
