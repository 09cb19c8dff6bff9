"""Steps at which a buffer grows by many rows are found between probes, in a time that does not grow with the target."""

import pytest

from strategies import parse
from suites.work.growths import MOST_SPANS, growths


@pytest.mark.parametrize("first", [3, 16, 64])
def test_every_growth_of_a_buffer_that_doubles_is_found(first):
    found = [first * 2**i + 1 for i in range(20) if first * 2**i < 100_000]
    assert growths(parse(f"doubling_kv(first={first})"), 100_000) == found


@pytest.mark.parametrize("last", [4096, 1 << 20])
def test_a_buffer_that_holds_powers_of_two_is_not_taken_for_one_that_grows_by_a_row(last):
    assert set(growths(parse("doubling_kv(first=1)"), last)) >= {2**i + 1 for i in range(5, last.bit_length() - 1)}


@pytest.mark.parametrize("label", ["full_recompute", "contiguous_kv", "static_kv", "paged_kv"])
def test_other_caches_have_none(label):
    assert growths(parse(label).bind(5000), 5000) == []


def test_few_steps_are_asked_for_and_stairs_have_none():
    class Stairs(type(parse("contiguous_kv"))):
        asked = 0

        def rows_reserved(self, k):
            Stairs.asked += 1
            return -(-k // 16) * 16

    assert growths(Stairs(), 1 << 30) == []
    assert Stairs.asked < 10 * MOST_SPANS
