"""Cells as jobs of Slurm, through submitit: one array of jobs, each of which measures one cell of the plan."""

from __future__ import annotations

import contextlib
import datetime
import io
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..settings.cluster import ClusterConfig
from ..settings.config import ConfigError
from ..settings.resources import cpus_of
from ..store.plan_entries import FrozenEntry, JobEntry

PROGRAMS = ("sbatch", "srun", "squeue", "scontrol")
LOGS = "jobs"
"""Folder in a run folder for what submitit writes: scripts, pickled tasks and logs."""
TIMEOUTS_MAX = 3
"""Times that a job which comes near its time limit is begun anew."""
ARRAY_MAX = 1000
"""Jobs of an array where Slurm does not say how many it takes."""
SIGNAL_S = 90
"""Seconds before its time limit at which a job is told, or a quarter of the limit where that is less."""


class SlurmError(ConfigError):
    """Slurm refused something, or cannot be asked. The message is one line."""


def require_slurm() -> None:
    """Raise ConfigError if this machine lacks what is needed to submit jobs."""
    if missing := [name for name in PROGRAMS if shutil.which(name) is None]:
        raise ConfigError(
            f"+cluster=slurm needs Slurm's {missing[0]}, which is not found here; run on a machine that submits jobs, "
            "or leave +cluster=slurm out"
        )
    try:
        import submitit  # noqa: F401
    except ImportError:
        raise ConfigError(
            "+cluster=slurm needs the package submitit, which is not installed; pip install 'decodebench[slurm]'"
        ) from None


def submit(run_dir: Path, entries: Sequence[FrozenEntry], cluster: ClusterConfig) -> Iterator[list[JobEntry]]:
    """Submit one job per cell, as an array for the cells of one device and number of threads; give each array's jobs.

    Raises SlurmError with Slurm's own words where it refuses.
    """
    import submitit

    from .cell_task import CellTask

    # Files are named by job ids alone, and a Slurm that was set up anew gives the same ids again.
    folder = run_dir / LOGS / datetime.datetime.now().strftime("%Y-%m-%d_%H-%M-%S-%f")
    executor = submitit.SlurmExecutor(folder=folder, max_num_timeout=TIMEOUTS_MAX)
    alike: dict[tuple[str, int], list[str]] = {}
    for entry in entries:
        alike.setdefault((entry["cell"]["device"], entry["cell"]["threads"]), []).append(entry["id"])
    for (device, threads), ids in alike.items():
        executor.update_parameters(**parameters(cluster, device, threads))
        for some in _chunks(ids, array_max()):
            try:
                with contextlib.redirect_stderr(io.StringIO()):  # submitit prints there what it raises
                    jobs = executor.map_array(CellTask(), [str(run_dir.absolute())] * len(some), some)
            except submitit.core.utils.FailedJobError as error:
                raise SlurmError(f"Slurm refused the jobs: {said(str(error))}") from None
            yield [{"cell": cell_id, "job": job.job_id} for cell_id, job in zip(some, jobs, strict=True)]


def parameters(cluster: ClusterConfig, device: str, threads: int) -> dict[str, Any]:
    """Parameters of submitit's executor for cells of one device and number of threads.

    Cells on CUDA alone have GPUs, and those on the CPU alone their node for themselves, unless ``cluster.exclusive``
    says otherwise.
    """
    exclusive = device == "cpu" if cluster.exclusive is None else cluster.exclusive
    asked = {
        "job_name": "decodebench",
        "time": cluster.minutes,
        "array_parallelism": cluster.parallel,
        "signal_delay_s": min(SIGNAL_S, cluster.minutes * 60 // 4),
        "additional_parameters": {"requeue": True},
        "partition": cluster.partition,
        "account": cluster.account,
        "constraint": cluster.constraint,
        "cpus_per_task": cpus_of(cluster, threads),
        "mem": cluster.memory_gib and f"{int(cluster.memory_gib * 1024)}M",
        "gpus_per_node": (cluster.gpus or None) if device == "cuda" else None,
        "exclusive": exclusive or None,
    }
    return {name: value for name, value in asked.items() if value is not None}


def alive(jobs: Iterable[JobEntry]) -> dict[str, tuple[str, str]]:
    """Map the id of each job that waits or runs to (its state, Slurm's reason for it). Raises SlurmError."""
    asked = {one["job"] for one in jobs}
    if not asked:
        return {}
    arrays = ",".join(sorted({job.partition("_")[0] for job in asked}))
    done = _run("squeue", "-h", "-r", "-j", arrays, "-o", "%i|%T|%r")
    if done.returncode != 0 and "Invalid job id" not in done.stderr:
        raise SlurmError(f"Slurm cannot be asked for its jobs: {said(done.stderr)}; try again later")
    rows = [line.strip().split("|", 2) for line in done.stdout.splitlines() if line.count("|") >= 2]
    return {job: (state, reason) for job, state, reason in rows if job in asked}


def ended_by(run_dir: Path, job: str) -> str:
    """Why a job ended without a result: what Slurm or Python wrote last in its log, or that there is no log."""
    submissions = sorted((run_dir / LOGS).glob("*/"), reverse=True)
    for log in (folder / f"{job}_0_log.{stream}" for folder in submissions for stream in ("err", "out")):
        try:
            lines = [line.strip() for line in log.read_text(errors="replace").splitlines() if line.strip()]
        except OSError:
            continue
        told = [line for line in lines if re.search(r"error|Error|CANCELLED|Killed|oom", line)] or lines
        if told:
            return f"its Slurm job {job} ended without a result: {told[-1]}"
    return f"its Slurm job {job} ended without a result, and before it wrote a log"


def said(text: str) -> str:
    """Slurm's reason: the last line of what it wrote, without the words before it.

    >>> said("sbatch: error: Batch job submission failed: Invalid partition name specified")
    'Invalid partition name specified'
    """
    lines = [line.strip() for line in text.splitlines() if line.strip()] or ["it gave no reason"]
    return re.sub(r"^(\w+: (error|fatal): )?(Batch job submission failed: )?", "", lines[-1])


def array_max() -> int:
    """How many jobs an array may have."""
    found = re.search(r"MaxArraySize\s*=\s*(\d+)", _run("scontrol", "show", "config").stdout)
    return max(1, int(found[1])) if found else ARRAY_MAX


def _chunks(ids: Sequence[str], size: int) -> Iterable[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _run(*words: str) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, capture_output=True, text=True, timeout=120, check=False)
    except FileNotFoundError:
        raise SlurmError(
            f"Slurm's {words[0]} is not found here, so it is not known which jobs still wait; run on a machine that "
            "submits jobs"
        ) from None
    except (OSError, subprocess.TimeoutExpired) as error:
        raise SlurmError(f"{words[0]} does not answer ({error}); try again later") from None


def latest(jobs: Iterable[JobEntry]) -> Mapping[str, str]:
    """Map each cell to its last job."""
    return {one["cell"]: one["job"] for one in jobs}
