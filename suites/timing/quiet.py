"""The rest before every round, so that threads still spinning after their work take no core from the arm timed next."""

from __future__ import annotations

import time

WATCHED_S = 0.02
AT_MOST_S = 1.0


def wait_until_quiet() -> None:
    """Sleep until this process uses less than a tenth of a core, but no longer than about ``AT_MOST_S`` seconds.

    OpenMP's threads spin for a while after a parallel region, up to 0.2 s with Intel's runtime. Forbidding it
    (OMP_WAIT_POLICY=PASSIVE, KMP_BLOCKTIME=0) would slow every step that has several regions, so this function waits.

    It sleeps ``WATCHED_S`` seconds at least, for fairness. On a busy machine the scheduler lets a process that has
    slept run before one that has just worked, and a contender's process has always slept before its round. A sleep of
    ``WATCHED_S`` is longer than a core takes to give each of its tasks a turn.
    """
    end = time.monotonic() + AT_MOST_S
    while time.monotonic() < end:
        used, began = time.process_time(), time.perf_counter()
        time.sleep(WATCHED_S)
        if time.process_time() - used < 0.1 * (time.perf_counter() - began):
            return
