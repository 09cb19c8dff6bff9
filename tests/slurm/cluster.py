"""A Slurm of its own on this machine: munge, one controller and two nodes, in a temporary folder, gone afterwards.

Nothing of a Slurm that may be installed and configured here is used but its programs: configuration, key, sockets,
ports, logs and spool are the cluster's own. Both nodes are this machine, by a ``slurmd -N`` each, and say that they
have ``CPUS`` processors. There is no accounting. It needs root, and Debian's packages slurm-wlm and munge.

``python -m tests.slurm.cluster`` holds a cluster open for trying by hand: it prints the line that makes a shell use
it, and stops at Ctrl-C. Arguments are further lines of slurm.conf: ``python -m tests.slurm.cluster MaxArraySize=4``.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import psutil

from .configuration import written

PROGRAMS = "setpriv", "munged", "slurmctld", "slurmd", "sbatch", "srun", "squeue", "scontrol", "scancel"
NODES = "n1", "n2"
CPUS = 4
STARTED_S, STOPPED_S = 30, 10
"""Seconds that the nodes may take until they are idle, and processes until they end."""


class ClusterError(Exception):
    """The cluster did not come up; the message has the ends of its logs."""


def obstacle() -> str:
    """Why no cluster can be started here, or an empty text."""
    if os.geteuid() != 0:
        return "a Slurm of one's own needs root"
    missing = [program for program in PROGRAMS if _program(program) is None]
    return f"not installed: {', '.join(missing)} (Debian: slurm-wlm and munge)" if missing else ""


def _program(name: str) -> str | None:
    return shutil.which(name) or shutil.which(name, path="/usr/local/sbin:/usr/sbin:/sbin")


class Cluster:
    """A running cluster. ``env``: the environment in which commands of Slurm, and what calls them, use it.

    ``conf``: its slurm.conf, in the folder that holds everything of it. Arguments are further lines of that file.
    Raises ClusterError where it does not come up.
    """

    def __init__(self, *lines: str) -> None:
        self._lines = lines
        self._started: list[subprocess.Popen[bytes]] = []
        self._opened = contextlib.ExitStack()

    def __enter__(self) -> Cluster:
        with contextlib.ExitStack() as opened:
            made = tempfile.TemporaryDirectory(prefix="slurm-", ignore_cleanup_errors=True)  # while a log is written
            self.folder = Path(opened.enter_context(made))
            self.conf = self.folder / "slurm.conf"
            self.env = os.environ | {"SLURM_CONF": str(self.conf)}
            opened.callback(self._stop)
            self._start()
            self._opened = opened.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._opened.close()

    def run(self, *command: str, check: bool = True, timeout: float = 60) -> str:
        """Standard output of a command, such as ``squeue -h``. Raises SubprocessError: it failed, or took longer."""
        done = subprocess.run(command, env=self.env, check=check, capture_output=True, text=True, timeout=timeout)
        return done.stdout.strip()

    def drain(self, node: str) -> None:
        """Let the node's jobs end, and have it take no further ones."""
        self.run("scontrol", "update", f"nodename={node}", "state=drain", "reason=test")

    def resume(self, node: str) -> None:
        """Let a drained node take jobs again."""
        self.run("scontrol", "update", f"nodename={node}", "state=resume")

    def node_state(self, node: str) -> str:
        """What ``sinfo`` calls it: idle, mix, alloc, drng, drain, ..."""
        return self.run("sinfo", "-h", "-n", node, "-o", "%t")

    def states(self, job: str) -> dict[str, str]:
        """State, in ``squeue``'s long form, of each element of an array, or of one job, that is not forgotten yet."""
        lines = self.run("squeue", "-h", "-r", "-t", "all", "-j", job, "-o", "%i %T", check=False)
        return dict(line.split() for line in lines.splitlines())

    def wait_for(self, is_so: Callable[[], bool], seconds: float = 120) -> None:
        """Wait until it is so. Raises AssertionError, with what ``squeue`` says, where it takes longer."""
        if not _becomes(is_so, seconds):
            queue = self.run("squeue", "-r", "-t", "all", "-o", "%i %T %N %r", check=False)
            raise AssertionError(f"not so after {seconds} s; squeue:\n{queue}")

    def _start(self) -> None:
        self._write()
        key = self.folder / "munge.key"
        key.write_bytes(os.urandom(128))
        key.chmod(0o400)
        files = [f"--{name}-file={self.folder / f'munge.{name}'}" for name in ("key", "log", "pid", "seed")]
        self._spawn("munged", "--foreground", "--force", f"--socket={self.folder / 'munge.socket'}", *files)
        self._wait_for((self.folder / "munge.socket").exists, "munged")
        self._spawn("slurmctld", "-D", "-i", "-f", str(self.conf))
        for name in NODES:
            self._spawn("slurmd", "-D", "-N", name, "-f", str(self.conf))
        self._wait_for(self._is_idle, "Slurm")

    def _write(self) -> None:
        self.conf.write_text(written(self.folder, NODES, CPUS, self._lines))
        for name in ("state", *(f"spool-{node}" for node in NODES)):
            (self.folder / name).mkdir()

    def _spawn(self, program: str, *arguments: str) -> None:
        found = _program(program)
        if found is None:
            raise ClusterError(f"{program} is not installed")
        with (self.folder / f"{program}.out").open("ab") as out:
            own = {"env": self.env, "stdout": out, "stderr": out, "start_new_session": True}
            command = ["setpriv", "--pdeathsig", "TERM", found, *arguments]  # also if this process is killed
            self._started.append(subprocess.Popen(command, **own))

    def _is_idle(self) -> bool:
        with contextlib.suppress(subprocess.SubprocessError):
            return self.run("sinfo", "-h", "-N", "-o", "%t", timeout=2).split() == ["idle"] * len(NODES)
        return False

    def _wait_for(self, is_there: Callable[[], bool], what: str) -> None:
        def is_over() -> bool:
            return any(process.poll() is not None for process in self._started) or is_there()

        if not (_becomes(is_over, STARTED_S) and is_there()):
            logs = sorted([*self.folder.glob("*.out"), *self.folder.glob("*.log")])
            ends = "\n".join(f"{log.name}: {log.read_text(errors='replace')[-1500:]}" for log in logs)
            raise ClusterError(f"{what} did not start\n{ends}")

    def _stop(self) -> None:
        """End the daemons, so that nothing starts any more, and then what is left of the jobs."""
        for process in reversed(self._started):
            process.terminate()
        for process in self._started:
            try:
                process.wait(STOPPED_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        _becomes(self._is_empty, STOPPED_S)

    def _is_empty(self) -> bool:
        """Kill what is left of the jobs. Returns whether nothing was."""
        left = list(self._left())
        for process in left:
            with contextlib.suppress(psutil.Error):
                process.kill()
        return not left

    def _left(self) -> Iterator[psutil.Process]:
        """Processes of jobs, and the slurmstepd that watches over each."""
        for process in psutil.process_iter():
            with contextlib.suppress(psutil.Error):
                if process.name().startswith("slurmstepd"):
                    if any(str(self.folder) in file.path for file in process.open_files()):
                        yield process
                elif "SLURM_JOB_ID" in (found := process.environ()) and found.get("SLURM_CONF") == str(self.conf):
                    yield process


def _becomes(is_so: Callable[[], bool], seconds: float) -> bool:
    end = time.monotonic() + seconds
    while not (found := is_so()) and time.monotonic() < end:
        time.sleep(0.1)
    return found


def main(arguments: Sequence[str] = ()) -> None:
    """Hold a cluster open until an interrupt."""
    if why := obstacle():
        raise SystemExit(why)
    for ends in (signal.SIGINT, signal.SIGTERM):
        signal.signal(ends, signal.default_int_handler)
    with contextlib.suppress(KeyboardInterrupt), Cluster(*arguments) as cluster:
        print(f"export SLURM_CONF={cluster.conf}", flush=True)
        print("With it, sinfo, sbatch and squeue of a shell use this cluster; its logs are there, too. Ctrl-C ends it.")
        signal.pause()


if __name__ == "__main__":
    main(sys.argv[1:])
