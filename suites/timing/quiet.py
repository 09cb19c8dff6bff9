"""The rest before every round: threads that spin after their work take no core from whom is timed next."""

from __future__ import annotations

import time

WATCHED_S = 0.02
AT_MOST_S = 1.0


def wait_until_quiet() -> None:
    """Sleep until this process uses less than a tenth of a core.

    OpenMP's threads spin for a while after a parallel region, up to 0.2 s with Intel's runtime. To forbid it
    (OMP_WAIT_POLICY=PASSIVE, KMP_BLOCKTIME=0) would slow every step that has several regions; so it is waited for.
    It sleeps at least once: on a busy machine a process that has slept is let run before one that has just worked, and
    a contender's process has always slept before its round. So long a sleep is more than a turn of all tasks of a core.
    """
    end = time.monotonic() + AT_MOST_S
    while time.monotonic() < end:
        used, began = time.process_time(), time.perf_counter()
        time.sleep(WATCHED_S)
        if time.process_time() - used < 0.1 * (time.perf_counter() - began):
            return
