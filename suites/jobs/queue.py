"""Jobs of a run that were submitted to Slurm: waited for, and judged once they are gone."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from ..store.files import read_json, write_json
from ..store.plan import read_plan
from ..store.plan_entries import JobEntry
from ..store.schema import read_run_entry
from ..words.quantity import counted
from .attempt import mend_all
from .dead import lacks_results, write_dead
from .slurm import SlurmError, alive, ended_by, latest
from .states import standing

POLL_S = 2.0
SILENCE_S = 600.0
"""Seconds for which Slurm may stay silent before a waiting run gives up."""
SHOWING_S = 60.0
"""Seconds after which a file that another machine has written must show: by default NFS asks at least every minute."""
TOLD_EVERY_S = 30.0
"""Seconds after which the line on waiting jobs is printed again, though nothing has changed."""


def note_jobs(run_dir: Path, jobs: Sequence[JobEntry]) -> None:
    """Write the jobs to run.json. A cell that is measured once more has its new job there."""
    run = read_json(run_dir / "run.json")
    cells = {one["cell"] for one in jobs}
    run["jobs"] = [*(one for one in run.get("jobs", []) if one["cell"] not in cells), *jobs]
    write_json(run_dir / "run.json", run)


def waiting(run_dir: Path) -> dict[str, tuple[str, str]]:
    """Map each cell whose job waits or runs to (the job's state, Slurm's reason). Raises SlurmError."""
    jobs = read_run_entry(run_dir).get("jobs", [])
    states = alive(jobs) if jobs else {}
    return {cell: states[job] for cell, job in latest(jobs).items() if job in states}


def settle(run_dir: Path, gone: Collection[str]) -> None:
    """Write failed rows for those of the cells ``gone``, whose jobs have ended, that have no results."""
    jobs = latest(read_run_entry(run_dir).get("jobs", []))
    mend_all(run_dir)
    for entry in read_plan(run_dir):
        if entry["id"] in gone and lacks_results(run_dir, entry["id"]):
            write_dead(run_dir, entry, ended_by(run_dir, jobs[entry["id"]]))


def settle_ended(run_dir: Path) -> dict[str, tuple[str, str]]:
    """``settle`` every job that has ended; return ``waiting``. Raises SlurmError."""
    jobs = latest(read_run_entry(run_dir).get("jobs", []))
    if not jobs:
        return {}
    states = waiting(run_dir)
    settle(run_dir, jobs.keys() - states.keys())
    return states


def wait(run_dir: Path) -> None:
    """Wait until no job of the run waits or runs, and say how many do; then ``settle`` them.

    Raises SlurmError if Slurm stays silent.
    """
    jobs = latest(read_run_entry(run_dir).get("jobs", []))
    last, told_s = "", 0.0
    try:
        while states := _waiting(run_dir):
            start = time.monotonic()
            line = _told(run_dir, states)
            if line != last or start - told_s > TOLD_EVERY_S:
                print(line, file=sys.stderr, flush=True)
                last, told_s = line, start
            time.sleep(max(POLL_S, 10 * (time.monotonic() - start)))  # with many cells, reading them takes a while
    except KeyboardInterrupt:
        arrays = " ".join(sorted({job.partition("_")[0] for job in jobs.values()}))
        print(
            f"the jobs go on; scancel {arrays} ends them, and collect makes tables of what they wrote", file=sys.stderr
        )
        raise
    if jobs:
        _wait_for_files(run_dir, jobs)
        settle(run_dir, jobs)


def _wait_for_files(run_dir: Path, cells: Collection[str]) -> None:
    """Wait for the results of jobs that have ended: a network file system may show them a while later."""
    until, told = time.monotonic() + SHOWING_S, False
    while time.monotonic() < until and (count := sum(lacks_results(run_dir, cell) for cell in cells)):
        if not told:
            what = f"{counted(count, 'job')} ended without results"
            print(f"{what}; waiting for up to {SHOWING_S:.0f} s, as they may show late", file=sys.stderr, flush=True)
            told = True
        time.sleep(POLL_S)


def _waiting(run_dir: Path) -> dict[str, tuple[str, str]]:
    """``waiting``, but bears it if Slurm cannot be asked for a while, as when its controller starts anew."""
    until = time.monotonic() + SILENCE_S
    while True:
        try:
            return waiting(run_dir)
        except SlurmError:
            if time.monotonic() > until:
                raise
            time.sleep(POLL_S)


def _told(run_dir: Path, states: Mapping[str, tuple[str, str]]) -> str:
    """One line: where the run stands, and why jobs wait."""
    return f"{standing(run_dir).told()}{queued_told(states)}"


def queued_told(states: Mapping[str, tuple[str, str]]) -> str:
    """How many jobs wait, and Slurm's reason for most of them, to follow a line; "" where none waits."""
    reasons = Counter(reason for state, reason in states.values() if state == "PENDING")
    if not reasons:
        return ""
    most = reasons.most_common(1)[0][0]
    return f"; {sum(reasons.values())} queued" + (f" ({most})" if most not in ("None", "") else "")


def job_ids(jobs: Sequence[JobEntry]) -> str:
    """The ids of jobs in one line, arrays with their first and last job: "12_0 to 12_11"."""
    arrays: dict[str, list[str]] = {}
    for one in jobs:
        arrays.setdefault(one["job"].partition("_")[0], []).append(one["job"])
    return ", ".join(ids[0] if len(ids) == 1 else f"{ids[0]} to {ids[-1]}" for ids in arrays.values())
