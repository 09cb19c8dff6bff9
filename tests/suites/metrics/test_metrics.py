"""Metrics: what each says of itself, and that a new one needs no change anywhere else."""

import math
import subprocess
import sys

import pytest

from suites.metrics import Case, TimedRound, metric, metrics
from suites.metrics.metric import _METRICS
from suites.store.cell_folder import CellResult
from suites.store.records import ArmResult, Round
from suites.tables.case_table import case_table
from suites.verbs.help import metrics_help, run_help

CASE = Case(
    batch_size=2,
    src_len=4,
    tgt_len=3,
    steps=3,
    real_tokens=6,
    setup_s=0.5,
    necessary_flops=10.0,
    executed_flops=40.0,
    decode_flops=30.0,
    moved_bytes=60.0,
    kv_reserved_bytes=8.0,
    kv_used_bytes=7.0,
    kv_cross_bytes=3.0,
    kv_reserved_blocks=6.0,
    kv_used_blocks=5.0,
    peak_memory_bytes=9.0,
    rss_bytes=1.0,
    loaded_rss_bytes=150.0,
    decode_rss_bytes=200.0,
    copied_bytes=6.0,
    predicted_peak_bytes=8.5,
    batch_max=64.0,
    length_max=99.0,
    memory_bytes=1000.0,
    model_weight_bytes=100.0,
    dispatch_s=0.125,
    floor_flops=30.0,
    floor_weight_bytes=9.0,
    prefill_flops=10.0,
    prefill_bytes=16.0,
    floor_bytes=18.0,
    read_bytes_per_s=32.0,
    peak_flops_per_s=40.0,
    floor_s=0.6,
    cache_resident=0.25,
)
MARKS_S = [0.0, 1.0, 1.5, 1.75, 3.0]
BY_HAND = {
    "prefill_s": 1.0,
    "ttft_s": 1.5,
    "itl_s": (0.25 + 1.25) / 2,
    "tpot_s": (3.0 - 1.5) / 2,
    "e2e_s": 3.0,
    "throughput_tokens_per_s": 6 / 3.0,
    "setup_s": 0.5,
    "executed_flops": 40,
    "necessary_flops": 10,
    "flops_waste": 4,
    "step_bytes": 60 / 3,
    "intensity_flops_per_byte": 0.5,
    "kv_reserved_bytes": 8,
    "kv_used_bytes": 7,
    "kv_cross_bytes": 3,
    "kv_waste": 8 / 7,
    "kv_reserved_blocks": 6,
    "kv_used_blocks": 5,
    "peak_memory_bytes": 9,
    "rss_bytes": 1,
    "loaded_rss_bytes": 150,
    "decode_rss_bytes": 200,
    "decode_rss_formula_bytes": 100 + 8,
    "mbu": 3 * 18 / 2.0 / 32,
    "mfu": 30 / 2.0 / 40,
    "prefill_mbu": 16 / 1.0 / 32,
    "prefill_mfu": 10 / 1.0 / 40,
    "floor_s": 0.6,
    "floor_fraction": 3 * 0.6 / 2.0,
    "cache_resident": 0.25,
    "copied_bytes": 2,
    "predicted_peak_bytes": 8.5,
    "batch_max_sentences": 64,
    "length_max_tokens": 99,
    "memory_bytes": 1000,
    "weight_bytes": 100,
    "dispatch_s": 0.125,
    "weight_share": 0.5,
    "energy_j_per_token": 90 / 6,
}


@pytest.fixture
def dropped_in():
    """A metric that is registered as a new file's would be, and gone afterwards."""

    @metric("s", "lower", "the longest gap between tokens")
    def longest_gap_s(case: Case, timed: TimedRound) -> float:
        return float(timed.itl_s.max())

    yield metrics()["longest_gap_s"]
    del _METRICS["longest_gap_s"]


@pytest.mark.parametrize("entry", metrics().values(), ids=lambda entry: entry.name)
def test_each_metric_has_a_unit_that_ends_its_name_a_direction_and_a_formula(entry):
    assert entry.unit == "ratio" or entry.name.endswith("_" + entry.unit.lower().replace("/", "_per_"))
    assert entry.better in ("lower", "higher", "neither")
    assert len(entry.formula) > 10
    assert "\n" not in entry.formula
    assert entry.function.__doc__


@pytest.mark.parametrize(("name", "value"), BY_HAND.items())
def test_each_figure_is_the_one_worked_out_by_hand(name, value):
    entry = metrics()[name]
    timed = [TimedRound.of(MARKS_S, every_step=True, energy_j=90.0)] if entry.per_round else []
    assert entry.function(CASE, *timed) == pytest.approx(value)


def in_table(rounds):
    """The table's energy per token of 6 tokens, from (seconds, joules) of each round."""
    cell = {"device": "cuda", "model": {"name": "m"}, "batch_size": 2, "src_len": 4, "tgt_len": 3, "formulas": {}}
    arm = ArmResult("static_kv", "ok", steps=3, row_lens=[3, 3])
    timed = [
        Round("static_kv", index, False, False, [0.0, 0.1, 0.2, e2e_s], energy_j=energy_j)
        for index, (e2e_s, energy_j) in enumerate(rounds)
    ]
    return case_table([CellResult("a", cell, [arm], timed)])["energy_j_per_token"].tolist()


def test_energy_counts_in_long_rounds_alone():
    assert in_table([(1.0, 60.0), (2.0, 120.0), (0.99, 6000.0), (1.5, None)]) == [(10 + 20) / 2]


@pytest.mark.parametrize("rounds", [[(0.99, 60.0)], [(5.0, None)]], ids=["short", "not read"])
def test_energy_is_empty_where_no_round_is_long_enough_or_none_was_read(rounds):
    (value,) = in_table(rounds)
    assert math.isnan(value)


def test_the_figures_worked_out_by_hand_are_all_there_are():
    assert set(BY_HAND) == set(metrics())


def test_help_lists_every_metric_with_its_formula():
    text = " ".join(metrics_help().split())
    for name, entry in metrics().items():
        better = "" if entry.better == "neither" else f", {entry.better} is better"
        assert f" {name} ({entry.unit}{better}) {' '.join(entry.formula.split())}" in text
    assert "--help metrics" in run_help()


def test_a_dropped_in_metric_is_in_the_table_and_in_the_help(dropped_in):
    assert dropped_in.per_round
    cell = {"device": "cpu", "model": {"name": "m"}, "batch_size": 2, "src_len": 4, "tgt_len": 3, "formulas": {}}
    arm = ArmResult("full_recompute", "ok", steps=3)
    rounds = [Round("full_recompute", i, False, True, [mark * (i + 1) for mark in MARKS_S]) for i in range(3)]
    table = case_table([CellResult("a", cell, [arm], rounds)])
    assert table["longest_gap_s"].tolist() == [2 * 1.25]
    assert "the longest gap between tokens" in metrics_help()


def test_a_metric_that_is_gone_leaves_no_trace():
    assert "longest_gap_s" not in metrics()
    assert "longest gap" not in metrics_help()


def test_help_imports_neither_torch_nor_hydra_nor_numpy():
    check = (
        "import sys, suites.verbs.help; suites.verbs.help.run_help(); "
        "print({'torch', 'hydra', 'numpy'} & set(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", check], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
