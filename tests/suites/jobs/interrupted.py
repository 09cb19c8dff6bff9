"""A command that is interrupted twice, once its strategies hang."""

import os
import signal
import subprocess
import sys
import time


def interrupted_twice(copy, count, *command):
    """Run a command of Python in the packages ``copy``; interrupt it once ``count`` strategies of ``spoiling`` hang,
    and again when it has told of the first. Returns (what it printed, its errors, {target length: process id}).
    """
    process = subprocess.Popen(
        [sys.executable, *command],
        cwd=copy,
        env={**os.environ, "PYTHONPATH": str(copy)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    stopped = copy / "strategies" / "spoiling.stopped"
    while process.poll() is None and not (stopped.exists() and stopped.read_text().count("\n") == count):
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    while "stopping once the round in progress is done" not in process.stderr.readline():
        assert process.poll() is None
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, out + err
    hung = dict(line.split() for line in stopped.read_text().splitlines())
    assert str(process.pid) not in hung.values()
    return out, err, {int(length): int(pid) for length, pid in hung.items()}
