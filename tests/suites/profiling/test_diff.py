"""Two strategies beside one another: who is slower, by how much, and where."""

import pandas as pd
import pytest

from suites.profiling import diff
from suites.profiling.tables import KINDS, operator_table, range_table, step_of


def made_up(label, layer_ms, head_ms):
    """Two steps whose ffn takes ``layer_ms`` and lm_head ``head_ms``: (matrix products, others, Python) each."""
    rows = []
    for path, parts in (("decode_step/layer/ffn", layer_ms), ("decode_step/lm_head", head_ms)):
        rows.append((label, path, *(2e-3 * ms for ms in (sum(parts), *parts))))
    whole = tuple(2e-3 * (a + b) for a, b in zip(layer_ms, head_ms, strict=True))
    rows.append((label, "decode_step", sum(whole), *whole))
    return pd.DataFrame(rows, columns=["strategy", "range", "time_s", *KINDS]).assign(calls=2)


def said_of(table, pair, unprofiled_s):
    return diff.sentence(table, diff.compare(table, pair, unprofiled_s))


SMALLER, LARGER = ((1, 1, 1), (0.5, 0.25, 0.25)), ((6, 2, 1.5), (1.0, 0.75, 0.75))


def two(a, b):
    return pd.concat([made_up("a", *a), made_up("b", *b)])


def test_the_sentence_says_who_is_slower_by_how_much_and_where():
    table = two(SMALLER, LARGER)
    said = (
        "b takes 5.000x a's step (95 % interval 4.518 to 5.534; under the profiler 3.00x): 69 % of the profiled "
        "difference is matrix products (of these 69 points ffn has 63, lm_head 6), 19 % other operators, 12 % Python "
        "and dispatch"
    )
    for pair in (("a", "b"), ("b", "a")):
        assert said_of(table, pair, {"a": [1e-3] * 3, "b": [5e-3, 4.8e-3, 125e-3 / 24]}) == said
    first = diff.diff_table(table, "range", "time_s", table, ("b", "a")).set_index("range")
    assert first.loc["decode_step"].tolist() == pytest.approx([12e-3, 4e-3, 8e-3, 1])
    assert first.loc["decode_step/lm_head"].tolist() == pytest.approx([2.5e-3, 1e-3, 1.5e-3, 1.5 / 8])


def test_the_ratio_is_of_times_paired_within_rounds():
    drifting = [1e-3, 2e-3, 4e-3, 8e-3, 16e-3]
    times = {"a": drifting, "b": [3 * t for t in drifting]}
    ratio = diff.compare(two(SMALLER, LARGER), ("a", "b"), times).ratio
    assert (ratio.value, ratio.low, ratio.high, ratio.rounds) == (
        pytest.approx(3),
        pytest.approx(3),
        pytest.approx(3),
        5,
    )


def test_points_of_the_parts_add_up_to_their_whole_with_what_is_not_named():
    table = two(((1, 1, 1), (0, 0, 0)), ((1.9, 1.5, 1.1), (0.04, 0, 0)))
    said = said_of(table, ("a", "b"), {"a": [1e-3] * 3, "b": [2e-3] * 3})
    assert "61 % of the profiled difference is matrix products (of these 61 points ffn has 58, the rest 3)" in said


@pytest.mark.parametrize("pair", [("a", "b"), ("b", "a")])
def test_a_profile_that_contradicts_the_unprofiled_times_is_told_of_and_not_divided(pair):
    """b takes three times as long under the profiler, but a twice as long without it."""
    times = {"a": [2e-3, 2.02e-3, 1.98e-3], "b": [1e-3] * 3}
    found = diff.compare(two(SMALLER, LARGER), pair, times)
    assert (found.slow, found.fast, found.divided) == ("a", "b", False)
    said = diff.sentence(two(SMALLER, LARGER), found)
    assert said.startswith("a takes 2.000x b's step (95 % interval 1.95")
    assert said.endswith(
        "but 0.33x under the profiler: the profile says the opposite, so the difference is not divided"
    )


def test_a_difference_that_the_profile_does_not_show_is_not_divided():
    found = diff.compare(two(LARGER, LARGER), ("a", "b"), {"a": [2e-3] * 3, "b": [1e-3] * 3})
    assert not found.divided
    said = diff.sentence(two(LARGER, LARGER), found)
    assert said.endswith("1.00x under the profiler: the profile does not show it, so the difference is not divided")
    shares = diff.diff_table(two(LARGER, LARGER), "range", "time_s", two(LARGER, LARGER), ("a", "b"))["share"]
    assert shares.isna().all()


def test_an_interval_that_holds_one_is_the_same_time_within_noise_whatever_the_profile_says():
    times = {"a": [1e-3, 2e-3, 1e-3, 2e-3, 1e-3], "b": [2e-3, 1e-3, 2e-3, 1e-3, 2e-3]}
    found = diff.compare(two(SMALLER, LARGER), ("a", "b"), times)
    assert found.ratio.low < 1 < found.ratio.high
    said = diff.sentence(two(SMALLER, LARGER), found)
    assert said.startswith(
        "b and a take the same time for a step within noise: the first takes 1.149x the second's (95 %"
    )
    assert said.endswith("under the profiler 3.00x); there is no difference to divide")


def test_the_sentence_tells_of_what_takes_less_and_of_equals():
    table = two(((1, 1, 3), (0, 0, 0)), ((4, 1, 2), (0, 0, 0)))
    said = said_of(table, ("a", "b"), {"a": [1e-3] * 3, "b": [2e-3] * 3})
    assert said.endswith(
        "150 % of the profiled difference is matrix products (of these 150 points ffn has 150), 0 % other operators, "
        "-50 % Python and dispatch (negative: b takes less there)"
    )
    said = said_of(two(SMALLER, LARGER), ("a", "b"), {"a": [1e-3] * 3, "b": [1.01e-3] * 3})
    assert said.startswith("b and a take the same time for a step within 2 %: the first takes 1.010x the second's")


def test_the_differences_of_the_parts_add_up_to_that_of_the_step(traced):
    pair = "full_recompute", "static_kv"
    ranges = pd.concat([range_table(traced(label)) for label in pair])
    operators = pd.concat([operator_table(traced(label)) for label in pair])
    by_range = diff.diff_table(ranges, "range", "time_s", ranges, pair).set_index("range")
    first, second = (step_of(ranges[ranges["strategy"] == label]) for label in pair)
    assert by_range.loc["decode_step", "more_s"] == pytest.approx(first["time_s"] - second["time_s"])
    assert by_range.loc["decode_step", "share"] == pytest.approx(1)
    by_operator = diff.diff_table(operators, "operator", "self_s", ranges, pair)
    python_s = first["python_s"] - second["python_s"]
    assert by_operator["more_s"].sum() + python_s == pytest.approx(first["time_s"] - second["time_s"])
    assert by_range.loc["decode_step/layer/cross_attn/project_kv", "second_s"] == 0
