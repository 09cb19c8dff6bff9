"""Pairs of runs for whoever guards a decoder of their own: the order is shuffled, the first pair does not count."""

import time

from suites.guarding.pairs import time_ratio


def test_the_order_is_shuffled_and_the_first_pair_is_discarded():
    ran = []

    def run(name, first_s):
        return lambda: (time.sleep(0.001 if name in ran else first_s), ran.append(name))

    ratio = time_ratio(run("mine", 0.5), run("ours", 0.0), pairs=12)
    assert ratio.rounds == 12
    assert ratio.value < 10, "the first run of mine took 500 times as long"
    pairs = list(zip(ran[::2], ran[1::2], strict=True))
    assert {frozenset(pair) for pair in pairs} == {frozenset(("mine", "ours"))}
    assert {pair[0] for pair in pairs} == {"mine", "ours"}


def test_one_thing_beside_itself_is_no_different():
    def sleep():
        time.sleep(0.002)

    assert 0.5 < time_ratio(sleep, sleep).value < 2
