"""Batches of a file of texts, taken together."""

import pytest

from suites.judging.whole_file import whole_files
from suites.store.cell_folder import CellResult
from suites.store.records import ArmResult, Round
from suites.telling.whole_file import whole_files_told

BASE = "full_recompute"


def batch(first: int, size: int, *, tgt_len: int = 4, **times: list[float]) -> CellResult:
    """A batch from sentence ``first`` on; ``times`` are the seconds of each arm's rounds."""
    cell = {"first_sentence": first, "batch_size": size, "tgt_len": tgt_len, "device": "cpu", "dtype": "fp32"}
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
        "all 5 sentences in 3 batches of 2, 4 tokens each on cpu, fp32: "
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
    apart = [batch(1, 2, full_recompute=[1.0]), batch(1, 2, tgt_len=8, full_recompute=[1.0])]
    assert whole_files_told(apart) == []
