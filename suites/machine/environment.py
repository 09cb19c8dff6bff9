"""Description of the machine and the software that a run was made with."""

from __future__ import annotations

import os
import platform
import subprocess
from dataclasses import asdict
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import psutil
import torch

from strategies.models.torch_settings import allowed_attention

from ..version import __version__
from .limits import cores_limit, memory_limit, threads_limit
from .nvml import NOT_READ, gpu

PEERS = ("transformers", "ctranslate2", "onnx", "onnxscript", "onnxruntime", "openvino")
PACKAGES = ("torch", "numpy", "pandas", "scipy", "matplotlib", "hydra-core", "safetensors", *PEERS)


@cache
def cpu_name() -> str:
    """The processor's name, from /proc/cpuinfo or else from Python's ``platform``."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def _git(*arguments: str) -> str | None:
    """Output of a git command run in the folder of this file; None outside a checkout or where git fails."""
    try:
        done = subprocess.run(
            ["git", *arguments], cwd=Path(__file__).parent, capture_output=True, text=True, timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


@cache
def _commit() -> tuple[str | None, bool | None]:
    """(commit of the sources, whether the checkout has changes); None where they are in no checkout of their own."""
    # If this package is installed inside another project's checkout, git would report that project's commit.
    ours = _git("ls-files", "--error-unmatch", Path(__file__).name) is not None
    commit = _git("rev-parse", "HEAD") if ours else None
    return commit, bool(_git("status", "--porcelain")) if commit else None


@cache
def _versions() -> dict[str, str]:
    found = {"python": platform.python_version(), "decodebench": __version__}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    # With the build, such as +cu130, which its distribution may not name.
    return found | {"torch": str(torch.__version__)}


def gpu_facts() -> dict[str, Any]:
    """Describe the first CUDA device: by torch, and by NVML where it can be asked (None where it cannot)."""
    properties, nvml = torch.cuda.get_device_properties(0), gpu()
    cudnn = torch.backends.cudnn.version()  # type: ignore[no-untyped-call]
    return {
        "name": properties.name,
        "memory_bytes": properties.total_memory,
        "cuda": torch.version.cuda,
        "cudnn": None if cudnn is None else str(cudnn),
        "capability": f"{properties.major}.{properties.minor}",
        "sms": properties.multi_processor_count,
        "l2_bytes": properties.L2_cache_size,
        **(nvml.facts() if nvml else NOT_READ),
        "attention_backends": allowed_attention("auto", "cuda"),
    }


def environment(*, with_gpu: bool = True) -> dict[str, Any]:
    """Describe node, CPU, GPU, cores, memory in bytes, limits, versions, commit and load, as plain data.

    The processor, versions and commit are read once per process, everything else at each call. ``with_gpu=False`` does
    not ask for the GPU, since that starts CUDA in this process.
    """
    commit, changed = _commit()
    return {
        "node": platform.node(),
        "cuda_visible_devices": os.environ.get("CUDA_VISIBLE_DEVICES"),
        "huge_pages_asked": os.environ.get("THP_MEM_ALLOC_ENABLE") == "1",
        "cpu": cpu_name(),
        "cpu_capability": torch.backends.cpu.get_cpu_capability(),
        "cores": os.cpu_count(),
        "cores_limit": asdict(cores_limit()),
        "threads_limit": asdict(threads_limit()),
        "memory_bytes": psutil.virtual_memory().total,
        "memory_limit": asdict(memory_limit()),
        "gpu": gpu_facts() if with_gpu and torch.cuda.is_available() else None,
        "os": platform.platform(),
        "versions": dict(_versions()),
        "commit": commit,
        "uncommitted_changes": changed,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
    }
