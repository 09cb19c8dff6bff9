"""A disk that is full, read-only or gone in the middle of a run: one line, exit 1, and what was finished is kept."""

import os
import shutil
import subprocess

import pytest

from suites.store.cell_state import state_of
from suites.store.plan import read_plan
from tests.command import killed, suites
from tests.resuming import KEYS, finished

FILES_KIB = 2048


@pytest.fixture
def disk(tmp_path):
    """A file system of 2 MiB in memory, and a function that mounts it anew with an option."""
    place = tmp_path / "disk"
    place.mkdir()
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root can mount a small disk")
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={FILES_KIB}k", "tmpfs", place], capture_output=True)
    if mounted.returncode != 0:
        pytest.skip(f"a small disk cannot be mounted here: {mounted.stderr.decode().strip()}")

    def remount(option):
        subprocess.run(["mount", "-o", f"remount,{option}", place], check=True)

    try:
        yield place, remount
    finally:
        subprocess.run(["umount", "-l", place], check=True)


def last_line(done):
    assert done.returncode == 1, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr.splitlines()[-1]


def test_a_full_disk_keeps_what_was_finished_and_the_run_can_be_gone_on_with(disk, tmp_path):
    place, _ = disk
    run_dir = place / "run"
    suites("run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=tmp_path, check=True)
    entries = read_plan(run_dir)
    for entry in entries[1:]:
        shutil.rmtree(run_dir / "cells" / entry["id"])
    filler = place / "filler"
    free = os.statvfs(place).f_bavail * os.statvfs(place).f_frsize
    filler.write_bytes(bytes(max(0, free - 24 * 1024)))
    line = last_line(suites("run", "--resume", str(run_dir), folder=tmp_path))
    assert "No space left on device" in line
    assert line.startswith(f"decodebench: {run_dir}")
    assert entries[0]["id"] in finished(run_dir)
    filler.unlink()
    assert suites("run", "--resume", str(run_dir), folder=tmp_path).returncode == 0
    assert len(finished(run_dir)) == len(entries)


def test_a_read_only_disk_is_one_line(disk, tmp_path):
    place, remount = disk
    run_dir = place / "run"
    suites("run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=tmp_path, check=True)
    shutil.rmtree(run_dir / "cells" / read_plan(run_dir)[0]["id"])
    remount("ro")
    for words in (["run", "--resume"], ["collect"]):
        assert "Read-only file system" in last_line(suites(*words, str(run_dir), folder=tmp_path))
    assert len(finished(run_dir)) == len(read_plan(run_dir)) - 1


@pytest.mark.parametrize("point", ["set-up", "rounds", "results", "collecting"])
def test_a_folder_that_vanishes_is_one_line(tmp_path, point):
    run_dir = tmp_path / "run"
    done = killed(point, 2, "run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=tmp_path, deed=str(run_dir))
    assert str(run_dir) in last_line(done)


def test_the_state_of_a_cell_that_cannot_be_read_is_missing(tmp_path):
    run_dir = tmp_path / "run"
    suites("run", *KEYS, f"hydra.sweep.dir={run_dir}", folder=tmp_path, check=True)
    entry = read_plan(run_dir)[0]
    arms = run_dir / "cells" / entry["id"] / "arms.json"
    arms.unlink()
    arms.mkdir()
    assert state_of(run_dir, entry).status == "missing"
