"""The advice, worked out by hand from small tables."""

import math

import pandas as pd
import pytest

from suites.telling.advice import advise
from suites.telling.advice.step import largest, parts

NAN = math.nan
SHARED = {
    "device": "cpu",
    "cell": "a", "rounds": 6, "e2e_beyond": 0.02,
    "batch_size": 1, "search": "greedy", "num_beams": 1, "src_len": 16, "tgt_len": 16, "status": "ok",
    "stop": "fixed", "first_sentence": 0,
    "baseline": "full_recompute",
    "best_strategy": "static_kv", "tokens_equal": "yes", "cache_resident": 0.0, "weight_share": 0.9,
    "memory_bytes": 2.0**30, "weight_bytes": 2.0**20, "crossover_k": NAN, "crossover_low_k": NAN,
    "crossover_high_k": NAN,
}  # fmt: skip


def ratio(name, value, spread=0.1):
    return {name: value, f"{name}_low": value * (1 - spread), f"{name}_high": value * (1 + spread)}


def case(strategy, e2e_s, e2e_verdict="faster", best_verdict="slower", **changes):
    """A row; full recompute takes 1 s, the quickest strategy 0.25 s."""
    return {
        **SHARED, **ratio("e2e_ratio", e2e_s), **ratio("best_ratio", e2e_s / 0.25),
        "strategy": strategy, "ttft_s": e2e_s / 16, "e2e_s": e2e_s, "e2e_verdict": e2e_verdict,
        "best_verdict": best_verdict,
        "executed_flops": 1.0, "flops_waste": 1.0,
        "kv_reserved_bytes": 2.0**20, "copied_bytes": 0.0, "floor_s": 0.01, "floor_fraction": 0.25, "mbu": 0.25,
        "mfu": 0.1, "dispatch_s": 0.02, "batch_max_sentences": 512.0, "length_max_tokens": 3000.0,
        "peak_memory_bytes": 2.0**20, "predicted_peak_bytes": 2.0**20,
    } | changes  # fmt: skip


def contender(strategy, e2e_s, best_verdict="faster", **changes):
    nothing = dict.fromkeys(
        ["executed_flops", "flops_waste", "kv_reserved_bytes", "copied_bytes", "dispatch_s", "batch_max_sentences",
         "length_max_tokens",
         "peak_memory_bytes", "predicted_peak_bytes"], NAN
    )  # fmt: skip
    return case(strategy, e2e_s, "faster", best_verdict, **nothing) | changes


BASE = case("full_recompute", 1.0, "baseline", flops_waste=8.0, kv_reserved_bytes=0.0)
STATIC = case("static_kv", 0.25, best_verdict="baseline")
GROWING = case("contiguous_kv", 0.26, best_verdict="undecided", copied_bytes=512.0)


def told(*rows):
    """Title -> sentences."""
    return {section.title: section.sentences for section in advise(pd.DataFrame(list(rows)))}


def test_which_to_use_names_the_quickest_what_ties_with_it_and_the_quickest_contender():
    (sentence,) = told(BASE, STATIC, GROWING, contender("fast", 0.1), contender("slow", 0.5))["which to use"]
    assert sentence == (
        "batch 1, 16 -> 16: static_kv; cannot tell contiguous_kv from it: 0.87x to 1.07x as fast; of contenders, fast "
        "is 2.5x faster than it [2.3, 2.8]"
    )


def test_a_quickest_contender_with_other_tokens_is_told_beside_the_quickest_with_the_same():
    rows = contender("int8", 0.1, tokens_equal="no"), contender("fp32", 0.25, best_verdict="indistinguishable")
    (sentence,) = told(BASE, STATIC, *rows)["which to use"]
    assert sentence == (
        "batch 1, 16 -> 16: static_kv; full_recompute is 4x slower than it [3.6, 4.4]; of contenders, int8 is 2.5x "
        "faster than it [2.3, 2.8], with other tokens; with the same tokens, fp32 is about as fast (within 2 %) as it"
    )


def test_the_baseline_is_no_tie_where_the_table_tells_it_from_the_quickest():
    base = BASE | {"best_verdict": "undecided"}
    (sentence,) = told(base, STATIC, GROWING)["which to use"]
    assert "full_recompute" not in sentence
    (sentence,) = told(base, STATIC | {"e2e_verdict": "undecided"})["which to use"]
    assert "full_recompute is probably 4x slower than it [3.6, 4.4] (6 rounds: not certain)" in sentence


def test_each_batch_and_length_has_its_own_choice():
    longer = [row | {"src_len": 32, "tgt_len": 32, "best_strategy": "contiguous_kv"} for row in (BASE, STATIC, GROWING)]
    sentences = told(BASE, STATIC, GROWING, *longer)["which to use"]
    assert [sentence.split(";")[0] for sentence in sentences] == [
        "batch 1, 16 -> 16: static_kv",
        "batch 1, 32 -> 32: contiguous_kv",
    ]


def test_contenders_alone_are_ranked_among_themselves():
    rows = [
        contender(name, time, verdict, best_strategy="fast", e2e_verdict="baseline")
        for name, time, verdict in (("fast", 0.25, "baseline"), ("slow", 0.5, "slower"))
    ]
    assert told(*rows)["which to use"] == ["batch 1, 16 -> 16: fast"]


def test_what_a_cache_costs_and_saves():
    slower = case("odd", 1.5, "slower", flops_waste=8.0)
    unsure = case("even", 0.98, "undecided", flops_waste=8.0)
    tied = case("tied", 1.0, "indistinguishable", flops_waste=8.0)
    title = "what remembering saves and costs, batch 1, 16 -> 16"
    assert told(BASE, STATIC, GROWING, slower, unsure, tied)[title] == [
        "static_kv is 4x faster than full_recompute [3.6, 4.4]; it holds 1.00 MiB of K/V, does 1.0x the necessary "
        "FLOPs instead of 8.0x",
        "contiguous_kv is 3.8x faster than full_recompute [3.5, 4.3]; it holds 1.00 MiB of K/V, moves 512 B a step to "
        "grow, does 1.0x the necessary FLOPs instead of 8.0x",
        "cannot tell even from full_recompute: 0.93x to 1.1x as fast; it holds 1.00 MiB of K/V",
        "tied is about as fast (within 2 %) as full_recompute; it holds 1.00 MiB of K/V",
        "odd is 1.5x slower than full_recompute [1.4, 1.7]; it holds 1.00 MiB of K/V",
    ]


def test_where_the_time_goes_and_what_would_help():
    told_of = told(BASE, STATIC, contender("fast", 0.1))["where the time of a step goes, batch 1, 16 -> 16"]
    assert told_of == [
        "fast, 40 ms: 25 % is reading bytes (90 % of them weights), the rest is not known",
        "static_kv, 40 ms: 25 % is reading bytes (90 % of them weights), 50 % dispatch, 25 % kernels below the "
        "ceilings of this machine",
        "full_recompute, 40 ms: 25 % is reading bytes (90 % of them weights), 50 % dispatch, 25 % kernels below the "
        "ceilings of this machine",
        "so static_kv would gain from fewer calls: a step that is compiled or captured, or a larger batch, which makes "
        "no more of them",
    ]


NEAR = {"floor_s": 0.036, "floor_fraction": 0.9, "dispatch_s": 0.002}
"""A step of 40 ms that takes little more than its floor."""


@pytest.mark.parametrize(
    ("changes", "remedy"),
    [
        ({"mbu": 0.9, **NEAR}, "fewer bytes of weights"),
        ({"mbu": 0.9, **NEAR, "weight_share": 0.2}, "fewer or smaller K/V"),
        ({"mfu": 0.9, **NEAR}, "a type that multiplies faster"),
        ({"mfu": 0.9, **NEAR, "flops_waste": 9.0}, "remembering more: it does 9.0x the necessary FLOPs"),
        ({"dispatch_s": 0.004}, "better kernels"),
    ],
)
def test_the_largest_part_decides_what_would_help(changes, remedy):
    *_, last = told(BASE, STATIC | changes)["where the time of a step goes, batch 1, 16 -> 16"]
    assert last.startswith(f"so static_kv would gain from {remedy}")


def test_on_a_cpu_parts_add_up_to_the_step_and_are_not_claimed_where_they_are_more():
    assert sum(parts(STATIC).values()) == pytest.approx(1)
    disturbed = STATIC | {"dispatch_s": 0.3488}
    assert parts(disturbed) == {"bytes": 0.25}
    assert told(BASE, disturbed)["where the time of a step goes, batch 1, 16 -> 16"][0] == (
        "static_kv, 40 ms: 25 % is reading bytes (90 % of them weights), the rest is not decided: dispatch alone took "
        "872 % of this step when it was measured; measure again on a quieter machine"
    )


def test_the_share_of_the_bound_is_that_of_the_floor_and_where_bytes_and_flops_share_it_both_are_named():
    row = STATIC | {"mbu": 0.2, "mfu": 0.23}
    assert next(iter(parts(row).items())) == ("FLOPs", 0.25)
    sentence = told(BASE, row)["where the time of a step goes, batch 1, 16 -> 16"][0]
    assert "25 % is arithmetic (at some steps reading), 50 % dispatch" in sentence
    assert "at some steps" not in told(BASE, STATIC)["where the time of a step goes, batch 1, 16 -> 16"][0]


@pytest.mark.parametrize(("cache_resident", "served"), [(0.0, ""), (1.0, ", as a cache holds a part of them")])
def test_a_step_below_its_floor_is_told_as_a_speed_and_no_rest_is_made_up(cache_resident, served):
    row = STATIC | {"floor_fraction": 1.74, "mbu": 1.74, "cache_resident": cache_resident}
    sentence = told(BASE, row)["where the time of a step goes, batch 1, 16 -> 16"][0]
    speed = f"reads its bytes (90 % of them weights) 1.7x as fast as this machine's memory was read{served}"
    assert sentence == f"static_kv, 5.75 ms: {speed}; what else it waits for is not known"
    assert largest(pd.Series(row)) == f"a step {speed}"


@pytest.mark.parametrize(
    ("dispatch_s", "limit", "remedy"),
    [
        (0.0468, "dispatch (Python and launches): dispatch alone takes 117 %", "fewer calls"),
        (0.02, "its kernels, not by dispatch: dispatch alone takes 50 %", "better kernels"),
    ],
)
def test_on_a_gpu_dispatch_or_kernels_bound_the_step_and_are_never_added(dispatch_s, limit, remedy):
    step, advised = told(STATIC | {"device": "cuda", "dispatch_s": dispatch_s})[
        "where the time of a step goes, batch 1, 16 -> 16"
    ]
    assert step == (
        f"static_kv, 40 ms: 25 % is reading bytes (90 % of them weights); it is bound by {limit} of the step"
    )
    assert advised.startswith(f"so static_kv would gain from {remedy}")


def test_what_fits_in_memory_is_told_at_the_longest_case_of_each_batch():
    more = [row | {"batch_size": 8, "length_max_tokens": 1000.0} for row in (BASE, STATIC)]
    shorter = STATIC | {"src_len": 4, "tgt_len": 4, "batch_max_sentences": 9999.0, "peak_memory_bytes": 2.0**20 * 0.99}
    assert told(BASE, STATIC, shorter, *more)["what fits in 1.00 GiB, weights of 1.00 MiB included"] == [
        "full_recompute: batch 512 at 16 -> 16; source = target = 3,000 at batch 1, 1,000 at batch 8",
        "static_kv: batch 512 at 16 -> 16; source = target = 3,000 at batch 1, 1,000 at batch 8",
        "by a formula; the peaks measured are 0.99 to 1.00 of it; "
        "what kernels and allocators take besides is not counted",
    ]


def test_of_beam_search_every_sentence_tells_the_beams():
    beams = [row | {"search": "beam", "num_beams": 4} for row in (BASE, STATIC)]
    wide = [row | {"search": "beam", "num_beams": 8, "cell": "b", "batch_max_sentences": 256.0} for row in beams]
    advice = told(*beams, *wide)
    assert [line.partition(":")[0] for line in advice["which to use"]] == [
        "batch 1, 4 beams, 16 -> 16",
        "batch 1, 8 beams, 16 -> 16",
    ]
    assert "where the time of a step goes, batch 1, 8 beams, 16 -> 16" in advice
    assert advice["what fits in 1.00 GiB, weights of 1.00 MiB included"][1] == (
        "static_kv: batch 256, 8 beams at 16 -> 16; source = target = 3,000 at batch 1, 4 beams, "
        "3,000 at batch 1, 8 beams"
    )


def test_of_a_folder_of_an_earlier_version_what_is_not_known_is_not_told():
    unknown = dict.fromkeys(["dispatch_s", "batch_max_sentences", "length_max_tokens", "floor_fraction"], NAN)
    titles = list(told(BASE | unknown, STATIC | unknown))
    assert not any(title.startswith(("what fits", "where the time")) for title in titles)
    assert told(BASE | {"status": "failed"}) == {}
