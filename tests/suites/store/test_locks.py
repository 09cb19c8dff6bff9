"""Locks are those of the operating system: they end with their holder, and a file that merely exists is none."""

import fcntl
import os
import signal
import subprocess
import sys

import filelock
import pytest

from suites.store.locks import BusyError, cell_lock, is_locked, locked, run_lock

HOLDER = """
import sys, time
from pathlib import Path
from suites.store.locks import locked, run_lock
with locked(run_lock(Path(sys.argv[1])), ""):
    print("held", flush=True)
    time.sleep(60)
"""


def test_a_process_that_is_killed_gives_its_lock_back(tmp_path):
    holder = subprocess.Popen([sys.executable, "-c", HOLDER, tmp_path], stdout=subprocess.PIPE, text=True)
    try:
        assert holder.stdout.readline() == "held\n"
        assert is_locked(run_lock(tmp_path))
        with pytest.raises(BusyError, match=f"^held by process {holder.pid} on "):
            with locked(run_lock(tmp_path), "held by {holder}"):
                pass
    finally:
        holder.send_signal(signal.SIGKILL)
        holder.communicate()
    assert not is_locked(run_lock(tmp_path))
    with locked(run_lock(tmp_path), ""):
        assert is_locked(run_lock(tmp_path))


def test_a_file_that_merely_exists_is_no_lock(tmp_path):
    lock = run_lock(tmp_path)
    lock.parent.mkdir()
    lock.write_text("left by a process that was killed")
    assert not is_locked(lock)
    with locked(lock, ""):
        pass


def test_a_holder_that_cannot_be_read_is_another_process(tmp_path):
    with locked(run_lock(tmp_path), ""):
        run_lock(tmp_path).write_text("")
        with (
            pytest.raises(BusyError, match=r"^held by another process$"),
            locked(run_lock(tmp_path), "held by {holder}"),
        ):
            pass


def test_a_file_system_without_locks_is_an_error_and_no_softer_lock_is_taken(tmp_path, monkeypatch):
    def refused(*_):
        raise OSError(38, os.strerror(38))

    monkeypatch.setattr(fcntl, "flock", refused)
    with pytest.raises(OSError, match=r"Function not implemented: .*run.lock"), locked(run_lock(tmp_path), ""):
        pass
    assert issubclass(filelock.FileLock, filelock.UnixFileLock)


def test_names_of_the_longest_ids_differ_and_fit_into_a_file_name(tmp_path):
    ids = ["é" * 100 + f"_b1_s8_t8_cpu_fp32_{digest}" for digest in ("0123abcd", "0123abce")]
    names = [cell_lock(tmp_path, one).name for one in ids]
    assert len(set(names)) == 2
    assert all(len(name.encode()) <= 255 for name in names)


def test_two_that_ask_do_not_see_each_other(tmp_path):
    """A probe shares the lock, and writes nothing; who takes it waits for a probe to end."""
    with locked(run_lock(tmp_path), ""):
        pass
    before = run_lock(tmp_path).read_bytes()
    with run_lock(tmp_path).open() as probe:
        fcntl.flock(probe, fcntl.LOCK_SH)
        assert not is_locked(run_lock(tmp_path))
        with pytest.raises(BusyError), locked(run_lock(tmp_path), ""):
            pass
    with locked(run_lock(tmp_path), ""):
        assert is_locked(run_lock(tmp_path))
    assert run_lock(tmp_path).read_bytes() == before
