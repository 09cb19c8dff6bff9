"""Batches of a file of texts, taken together."""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType

import pytest

from suites.judging.whole_file import SAME, whole_files
from suites.store.cell_folder import CellResult
from suites.store.records import ArmResult, Round, crossed_label
from suites.telling.whole_file import whole_files_told

BASE = "full_recompute"


CELL = {
    "model": {"name": "m"}, "device": "cpu", "dtype": "fp32", "weights": "", "linear": "torch", "attention": "auto",
    "tf32": False, "search": {"kind": "greedy"}, "threads": 2, "stop": "fixed", "seed": 0, "tgt_len": 4,
}  # fmt: skip
OTHERS = {
    "model": {"name": "n"}, "device": "cuda", "dtype": "bf16", "weights": "int8", "linear": "mkl", "attention": "math",
    "tf32": True, "search": {"kind": "sample", "temperature": 1.0, "top_k": 0, "top_p": 1.0}, "threads": 1,
    "stop": "eos", "seed": 1, "tgt_len": 8,
}  # fmt: skip


def batch(first: int, size: int, changes: Mapping[str, object] = MappingProxyType({}), **times: list[float]):
    """A batch from sentence ``first`` on; ``times`` are the seconds of each arm's rounds."""
    cell = CELL | {"first_sentence": first, "batch_size": size} | changes
    rounds = [
        Round(label, index, warmup=False, every_step=True, marks_s=[0.0, seconds])
        for label, mine in times.items()
        for index, seconds in enumerate(mine)
    ]
    return CellResult(f"{first} {size}", cell, [ArmResult(label, "ok") for label in times], rounds)


def test_a_round_of_a_file_is_as_long_as_the_rounds_of_its_batches_and_pairs_stay_pairs():
    batches = [
        batch(1, 2, full_recompute=[1.0, 4.0, 2.0], static_kv=[0.5, 2.0, 1.0]),
        batch(3, 2, full_recompute=[2.0, 8.0, 4.0], static_kv=[1.0, 4.0, 2.0]),
        batch(5, 1, full_recompute=[3.0, 3.0], static_kv=[1.5, 1.5]),
    ]
    (found,) = whole_files(batches[::-1])
    assert (found.sentences, found.batches, found.batch_size) == (5, 3, 2)
    times = {(done.strategy, done.index): done.marks_s[-1] for done in found.result.rounds}
    assert times == {(BASE, 0): 6.0, (BASE, 1): 15.0, ("static_kv", 0): 3.0, ("static_kv", 1): 7.5}
    assert whole_files_told(batches) == [
        "all 5 sentences in 3 batches of 2, 4 tokens each, m on cpu, 2 threads, fp32: "
        "static_kv 5.25 s, 2x faster than full_recompute [2, 2]; full_recompute 10.5 s"
    ]


def test_every_way_to_cut_a_file_is_told_and_equal_last_batches_count_for_each():
    one = [batch(first, 1, full_recompute=[1.0, 1.0]) for first in (1, 2, 3)]
    found = list(whole_files([*one, batch(1, 2, full_recompute=[1.5, 1.5])]))
    assert [(file.batch_size, file.batches, file.sentences) for file in found] == [(1, 3, 3), (2, 2, 3)]
    assert [file.result.rounds[0].marks_s[-1] for file in found] == [3.0, 2.5]
    found = list(whole_files([*one, batch(1, 3, full_recompute=[2.0, 2.0])]))
    assert [(file.batch_size, file.batches) for file in found] == [(1, 3), (3, 1)]


@pytest.mark.parametrize("lost", [BASE, "static_kv"])
def test_a_strategy_that_lacks_a_batch_is_not_told_of_the_file(lost):
    times = {"full_recompute": [1.0, 1.0], "static_kv": [1.0, 1.0]}
    left = {label: mine for label, mine in times.items() if label != lost}
    (line,) = whole_files_told([batch(1, 2, **times), batch(3, 2, **left)])
    assert lost not in line.partition(": ")[2]


def test_nothing_is_told_of_other_sources_or_of_a_file_that_is_one_cell():
    assert whole_files_told([batch(0, 2, full_recompute=[1.0]), batch(0, 4, full_recompute=[1.0])]) == []
    assert whole_files_told([batch(1, 2, full_recompute=[1.0])]) == []


def test_nothing_is_told_while_a_planned_batch_has_no_result():
    batches = [batch(first, 2, full_recompute=[1.0, 1.0]) for first in (1, 3)]
    assert len(whole_files_told(batches, [done.id for done in batches])) == 1
    assert whole_files_told(batches, [*(done.id for done in batches), "5 2"]) == []


@pytest.mark.parametrize("name", SAME)
def test_batches_that_were_decoded_in_another_way_are_of_another_file(name):
    assert {*CELL} == {*OTHERS} == {*SAME}
    batches = [batch(1, 2, full_recompute=[1.0, 1.0]), batch(3, 1, full_recompute=[1.0, 1.0])]
    batches += [replace(one, cell=one.cell | {name: OTHERS[name]}) for one in batches]
    assert [file.sentences for file in whole_files(batches)] == [3, 3]
    if name != "seed":
        assert len(set(whole_files_told(batches))) == 2, "the lines tell them apart"


def test_a_contender_is_judged_by_the_arm_that_shows_what_another_process_does():
    """Batches in which the same code takes 25 % longer in a child process say nothing of a contender 18 % faster."""
    times = {BASE: [1.0, 1.02, 0.98, 1.0], "ct2": [0.82, 0.83, 0.81, 0.82]}
    told = {}
    for crossed in (1.0, 1.25):
        arms = times | {crossed_label(BASE): [crossed * one for one in times[BASE]]}
        batches = [batch(first, 2, {"contenders": ["ct2"]}, **arms) for first in (1, 3)]
        batches = [replace(one, arms=[ArmResult(label, "ok") for label in times]) for one in batches]
        (told[crossed],) = whole_files_told(batches)
    assert "1.2x faster than full_recompute" in told[1.0]
    assert "faster" not in told[1.25]
