"""Device and threads of a cell where the configuration leaves them open: this machine's, or those of a job of Slurm."""

from __future__ import annotations

from collections.abc import Callable

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
        raise ConfigError(
            "device=auto is not allowed with +cluster=slurm, as jobs run on other machines; give device=cpu or cuda, "
            "or cluster.gpus"
        )
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
        raise ConfigError(
            "threads=null is not allowed with +cluster=slurm, as jobs run on other machines; give threads, or "
            "cluster.cpus"
        )
    return config.cluster.cpus


def refuse_elsewhere(config: RunConfig) -> None:
    """Raise ConfigError for what a job of Slurm does not take: all GPUs, or a GPU's cell without a GPU."""
    gpus = config.cluster.gpus
    if not config.cluster.is_slurm:
        return
    if isinstance(gpus, str):
        raise ConfigError(f"cluster.gpus={gpus} is not allowed with +cluster=slurm; give a number for each job")
    if device_of(config) == "cuda" and not gpus:
        raise ConfigError("device=cuda needs a GPU in each job of Slurm; give cluster.gpus=1")
