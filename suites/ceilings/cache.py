"""The size of the last-level cache: data that fits in it need not be read from memory again."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from ..machine.cores import allowed

CPUS = Path("/sys/devices/system/cpu")
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}


def last_cache_bytes(device: str, threads: int = 1) -> int | None:
    """Bytes of the last-level cache that ``threads`` threads can fill; None where the system does not say.

    A CPU may have several last caches, one for each group of cores, and each thread may fill another. So as many of
    them are counted as there are threads. A virtual machine may own less of them than the system says. On CUDA the size
    is that of the L2 cache.
    """
    if device == "cuda":
        import torch

        return int(torch.cuda.get_device_properties(0).L2_cache_size) or None
    return cpu_cache_bytes(CPUS, allowed(), threads)


def cpu_cache_bytes(root: Path, cores: Iterable[int], threads: int) -> int | None:
    """Bytes of the last-level caches of ``cores``, as many caches as ``threads``, read from the folder ``root``.

    ``root`` is Linux's ``/sys/devices/system/cpu`` or a folder like it. Returns None where it does not say.
    """
    found: dict[int, dict[str, int]] = {}
    for core in cores:
        for folder in (root / f"cpu{core}" / "cache").glob("index*"):
            try:
                kind, level, size, shared = (
                    (folder / name).read_text().strip() for name in ("type", "level", "size", "shared_cpu_list")
                )
                if kind != "Instruction":
                    found.setdefault(int(level), {})[shared] = size_bytes(size)
            except (OSError, ValueError):
                continue
    if not found:
        return None
    return sum(sorted(found[max(found)].values(), reverse=True)[: max(threads, 1)]) or None


def size_bytes(text: str) -> int:
    """Convert a size of Linux's sysfs to bytes. Raises ValueError for a text that is no size.

    >>> size_bytes("32768K"), size_bytes("1M"), size_bytes("64")
    (33554432, 1048576, 64)
    """
    return int(text[:-1]) * UNITS[text[-1]] if text[-1:] in UNITS else int(text)
