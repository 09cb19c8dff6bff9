"""What the summary says of caches in blocks."""

from types import SimpleNamespace

from suites.store.records import ArmResult
from suites.telling.blocks_told import blocks_told


def cell(used, beams=4, batch_size=8, strategy="paged_kv"):
    search = {"kind": "greedy"}
    if beams > 1:
        search = {"kind": "beam", "num_beams": beams, "length_penalty": 1.0, "early_stopping": "false", "num_return": 1}
    known = {"dtype": "fp32", "batch_size": batch_size, "src_len": 16, "tgt_len": 16, "search": search}
    arms = [
        ArmResult(strategy, "ok", kv_used_blocks=used, kv_reserved_blocks=64),
        ArmResult("static_kv", "ok"),
        ArmResult("paged_kv(block=4)", "failed", "no memory"),
    ]
    return SimpleNamespace(cell=known, arms=arms)


def test_the_blocks_in_use_are_told_with_beams_alone():
    assert blocks_told([cell(40)]) == ["paged_kv: 40 of 64 blocks in use at the end; beams share full blocks"]
    assert blocks_told([cell(40, beams=1)]) == []


def test_of_many_cells_the_least_and_the_fullest_are_told():
    (line,) = blocks_told([cell(40, batch_size=2), cell(33, batch_size=1), cell(64, batch_size=4)])
    assert line == (
        "paged_kv: 33 of 64 blocks (batch 1, 4 beams, 16 -> 16 tokens) to 64 of 64 blocks (batch 4, 4 beams, 16 -> 16 "
        "tokens) in use at the end; beams share full blocks"
    )


def test_each_strategy_has_a_line():
    lines = blocks_told([cell(40), cell(64, strategy="paged_kv(block=1)")])
    assert [line.partition(":")[0] for line in lines] == ["paged_kv", "paged_kv(block=1)"]
