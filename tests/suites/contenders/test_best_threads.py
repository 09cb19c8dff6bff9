"""Which number of threads is taken where a contender is measured at its best."""

import pytest

from suites.contenders import UnavailableError
from suites.contenders.errors import NoAnswerError
from suites.contenders.running.best_threads import fastest, thread_counts
from suites.machine.limits import cores_limit
from suites.timing.clock import CpuClock

NEVER_S = -1


class Arm:
    """Stands for a contender's process: only its times and its end matter here."""

    def __init__(self, times_s):
        self.times_s, self.is_open = iter(times_s), True

    def round(self, index, warmup, clock):
        self.marks_s = [0.0, next(self.times_s)]
        if self.marks_s[1] == NEVER_S:
            raise NoAnswerError("no answer")
        return self

    def close(self):
        self.is_open = False


def started(times_s):
    """(threads, whether each arm is open, those without an answer): the first time is that of the warm-up."""
    arms = {}

    def start(threads):
        if not times_s[threads]:
            raise UnavailableError(f"it takes no {threads} threads")
        arms[threads] = Arm(times_s[threads])
        return arms[threads]

    best, silent = fastest(start, times_s, CpuClock())
    assert best.arm is arms[best.threads]
    return best.threads, {threads: arm.is_open for threads, arm in arms.items()}, silent


def test_the_quickest_round_decides_and_the_others_end():
    times_s = {1: [9, 5, 5, 5], 2: [9, 8, 3, 8], 3: [1, 4, 4, 4], 4: []}
    assert started(times_s) == (2, {1: False, 2: True, 3: False}, [])


def test_a_number_whose_warm_up_takes_twice_as_long_as_the_bests_is_given_up_after_it():
    times_s = {4: [9, 5, 5, 5], 2: [8, 4, 4, 4], 1: [16]}
    assert started(times_s) == (2, {4: False, 2: True, 1: False}, [])


def test_a_number_without_an_answer_is_left_out_and_told():
    assert started({4: [NEVER_S], 2: [9, 5, 5, 5], 1: [9, 6, NEVER_S]})[::2] == (2, [4, 1])
    with pytest.raises(NoAnswerError):
        started({2: [NEVER_S], 1: [NEVER_S]})


def test_where_no_number_is_taken_the_reason_is_told():
    with pytest.raises(UnavailableError, match="it takes no 2 threads"):
        started({1: [], 2: []})


def test_numbers_go_from_every_core_of_the_process_to_one():
    counts = thread_counts()
    assert (counts[0], counts[-1]) == (cores_limit().amount, 1)
    assert counts == sorted(set(counts), reverse=True)
