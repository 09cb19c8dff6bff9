"""Device and threads of a cell where the configuration leaves them open: this machine's, or those of a job of Slurm."""

from __future__ import annotations

from collections.abc import Callable

from .cluster import ClusterConfig
from .config import ConfigError, RunConfig


def device_here() -> str:
    """Return "cuda" where there is a CUDA device, and "cpu" elsewhere."""
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def threads_here() -> int:
    """Number of threads that this process may use."""
    from ..machine.limits import threads_limit

    return threads_limit().amount


def device_of(config: RunConfig, here: Callable[[], str] = device_here) -> str:
    """The device of a configuration, where ``auto`` is the one that is ``here``.

    For jobs of Slurm, which run on other machines, the GPUs that they ask for settle ``auto``. Raises ConfigError where
    nothing does.
    """
    if config.device != "auto":
        return config.device
    if not config.cluster.is_slurm:
        return here()
    if config.cluster.gpus is None:
        raise _unsettled("device=auto", "device=cpu or cuda, or cluster.gpus")
    return "cuda" if config.cluster.gpus else "cpu"


def threads_of(config: RunConfig, here: Callable[[], int] = threads_here) -> int:
    """The threads of a configuration, where null means as many as there are ``here``.

    For jobs of Slurm it means the CPUs that they ask for. Raises ConfigError where nothing settles it.
    """
    if config.threads is not None:
        return config.threads
    if not config.cluster.is_slurm:
        return here()
    if config.cluster.cpus is None:
        raise _unsettled("threads=null", "threads, or cluster.cpus")
    return config.cluster.cpus


def _unsettled(given: str, remedy: str) -> ConfigError:
    return ConfigError(f"{given} is not allowed with +cluster=slurm, as jobs run on other machines; give {remedy}")


def cpus_of(cluster: ClusterConfig, threads: int) -> int:
    """CPUs that a job of Slurm asks for: those of the configuration, or else one for each thread of its cells.

    >>> cpus_of(ClusterConfig(kind="slurm"), threads=8), cpus_of(ClusterConfig(kind="slurm", cpus=16), threads=8)
    (8, 16)
    """
    return threads if cluster.cpus is None else cluster.cpus


def refuse_cluster(cluster: ClusterConfig, device: str, threads: int) -> None:
    """Raise ConfigError where jobs of Slurm would not give a cell of this device and these threads what it needs."""
    if not cluster.is_slurm:
        return
    if isinstance(cluster.gpus, str):
        raise ConfigError(f"cluster.gpus={cluster.gpus} is not allowed with +cluster=slurm; give a number for each job")
    if device == "cuda" and not cluster.gpus:
        raise ConfigError("device=cuda needs a GPU in each job of Slurm; give cluster.gpus=1")
    if threads > cpus_of(cluster, threads):
        raise ConfigError(
            f"threads={threads} is more than cluster.cpus={cluster.cpus}, the CPUs of each job of Slurm; give "
            f"cluster.cpus={threads}, or fewer threads"
        )
