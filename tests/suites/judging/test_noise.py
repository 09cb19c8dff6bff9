"""What spoils times: each is told of a made-up cell that has it, and none of a clean one."""

import itertools
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from suites.judging.noise import drift, noises, told, trend_p
from suites.measuring.conditions import Watch
from suites.store.cell_folder import CellResult
from suites.store.records import ArmResult, Calibration, Conditions, Round

QUIET = Conditions("rounds", 10.0, 9.8, 10.0, 2, 2, [2400.0, 2390.0, 2410.0], [])
STEADY = [10.0, 10.3, 9.9, 10.1, 10.2, 9.8, 10.0, 10.1]


def cell(seen=QUIET, times=STEADY, collections=0, speed=1.0, name="a", threads=2, device="cpu"):
    rounds = [
        Round(label, index, False, True, [0.0, 0.1, 0.2, value], collections * (label == "new"))
        for index, value in enumerate(times)
        for label in ("full_recompute", "new")
    ]
    calibrations = [Calibration(i, i < 0, 1e9 * speed * (1 + 9 * (i < 0)), 1e9 * speed) for i in range(-1, 3)]
    arms = [ArmResult("full_recompute", "ok"), ArmResult("new", "ok")]
    return CellResult(name, {"device": device, "threads": threads}, arms, rounds, calibrations, seen)


def disturbed(result, label):
    return replace(result, rounds=[replace(done, disturbed=done.strategy == label) for done in result.rounds])


def crossed(result, others_cores, wall_s):
    """Rounds of the second arm as a child process notes them: too short to tell by themselves."""
    short = [replace(r, others_cores=others_cores, marks_s=[0.0, wall_s / 2, wall_s]) for r in result.rounds]
    return replace(
        result, rounds=[brief if brief.strategy == "new" else r for r, brief in zip(result.rounds, short, strict=True)]
    )


SPOILED = {
    "contender disturbed by short rounds": (
        crossed(cell(), 1.0, 0.03),
        "other processes used 1.0 of 2 cores during the rounds of new",
    ),
    "A/A in a child process": (
        cell(replace(QUIET, crossed_reason="no room")),
        "the A/A arm in a child process was not measured: no room",
    ),
    "contender disturbed": (disturbed(cell(), "new"), "other processes used the CPU during 8 rounds of new"),
    "other load": (cell(replace(QUIET, busy_cpu_s=22.0)), "other processes used 1.2 of 2 cores during the rounds"),
    "threads": (cell(threads=3), "3 threads share 2 cores"),
    "CPU frequency": (
        cell(replace(QUIET, cpu_mhz=[2400.0, 1800.0])),
        "the CPU's frequency went from 1800 to 2400 MHz between rounds",
    ),
    "GPU throttling": (cell(replace(QUIET, throttled=["power cap"])), "the GPU was slowed down: power cap"),
    "trend": (
        cell(times=[10.0 + index for index in range(8)]),
        "the baseline took 57 % more time in the last third of its rounds than in the first",
    ),
    "garbage collection": (cell(collections=1), "Python's garbage was collected inside 8 rounds of new"),
    "A/A": (cell(replace(QUIET, aa_reason="out of memory")), "the A/A arm was not measured: out of memory"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_each_is_told_with_its_cause_and_a_remedy(kind):
    result, cause = SPOILED[kind]
    (noise,) = noises(result)
    assert (noise.kind, noise.cause) == (kind.removesuffix(" by short rounds"), cause)
    assert noise.remedy
    assert told([result]) == [f"{cause}: {noise.remedy}"]


@pytest.mark.parametrize(
    "clean",
    [
        cell(),
        cell(None),  # a folder of an earlier version
        cell(replace(QUIET, busy_cpu_s=None, cpu_mhz=[])),  # a machine that does not tell
        cell(replace(QUIET, busy_cpu_s=9.0)),  # the kernel counts coarsely
        cell(replace(QUIET, wall_s=0.05, own_cpu_s=0.05, busy_cpu_s=0.09)),  # too short to tell
        crossed(cell(), 0.4, 0.03),  # the same in eight short rounds
        crossed(cell(), 0.1, 30.0),  # too little
        crossed(cell(), None, 0.3),  # a machine that does not tell
        cell(replace(QUIET, busy_cpu_s=11.9, machine_cores=64)),  # 0.2 of 64 cores
        cell(times=[10.0, 11.0, 12.0, 13.0, 14.0]),  # a trend that five rounds cannot show
        cell(times=[10.0 + 0.001 * index for index in range(8)]),  # one that is within the margin
        cell(threads=3, device="cuda"),
    ],
)
def test_a_clean_cell_is_told_of_nothing(clean):
    assert told([clean]) == []
    assert told([clean, replace(clean, id="b")]) == []


def test_warm_ups_may_collect_garbage():
    result = cell()
    warm = [replace(done, warmup=True, collections=3) for done in result.rounds]
    assert noises(replace(result, rounds=warm + result.rounds)) == []


def test_the_same_in_many_cells_is_one_line_of_the_worst():
    loads = [cell(replace(QUIET, busy_cpu_s=busy), name=str(busy)) for busy in (15.0, 25.0, 10.0)]
    (line,) = told(loads)
    assert line.startswith("other processes used 1.5 of 2 cores during the rounds (in 2 of 3 cells, the worst): stop")


def test_a_machine_that_is_slower_in_another_cell_is_seen_by_its_calibrations():
    lines = told([cell(), cell(speed=0.8, name="b")])
    assert len(lines) == 2
    assert lines[0].startswith("the machine read memory 1.25 times as fast in one cell as in another: ")
    assert drift([cell(), cell(speed=0.95, name="b")]) == []
    assert drift([cell(), cell(speed=0.5, name="b", device="cuda")]) == []
    assert drift([replace(cell(), calibrations=[]), cell()]) == []


@pytest.mark.parametrize("count", [2, 6, 9, 30])
def test_the_p_value_of_a_trend_is_scipys_exact_one(count):
    values = np.random.default_rng(count).normal(size=count).tolist()
    wanted = stats.kendalltau(range(count), values, method="exact").pvalue
    assert trend_p(values) == pytest.approx(wanted)
    assert trend_p(values[::-1]) == pytest.approx(wanted)


def test_trends_of_six_in_all_orders_are_told_as_often_as_promised():
    told_of = sum(trend_p(order) < 0.01 for order in itertools.permutations(range(6)))
    assert told_of == 2  # of 720: up and down


def test_values_that_are_all_equal_have_no_trend():
    assert trend_p([3.0] * 8) == 1.0


@pytest.mark.parametrize(
    ("slowed_s", "cause"),
    [
        ({"power cap": 0.099}, None),
        ({"power cap": 0.1}, "power cap for 1 % of the time"),
        ({"power cap": 5.0, "heat": 0.01}, "power cap for 50 % of the time"),
        ({"power cap": 0.01}, None),
    ],
)
def test_a_gpu_that_was_slowed_for_less_than_a_hundredth_of_the_time_is_not_told(slowed_s, cause):
    found = noises(cell(replace(QUIET, throttled=list(slowed_s), throttled_s=slowed_s)))
    assert [noise.cause for noise in found] == ([f"the GPU was slowed down: {cause}"] if cause else [])


def test_reasons_without_a_time_are_told_beside_those_with_one():
    seen = replace(QUIET, throttled=["heat", "hardware slowdown"], throttled_s={"heat": 3.0})
    (noise,) = noises(cell(seen))
    assert noise.cause == "the GPU was slowed down: heat for 30 % of the time, hardware slowdown"


def test_this_machine_is_watched_without_an_error():
    watch = Watch("cpu")
    watch.after_round()
    seen = watch.conditions("rounds", "")
    assert seen.own_cpu_s >= 0
    assert seen.wall_s > 0
    assert 1 <= seen.cores
    assert all(mhz > 0 and not math.isnan(mhz) for mhz in seen.cpu_mhz)
