"""Peak memory of a piece of code: the most bytes of live tensors at once, beyond those that were live before.

On the CPU no allocator keeps such a figure, and a process's resident size is neither exact nor repeatable. So the bytes
of every new storage are added when it is created and subtracted when it is freed. On CUDA the caching allocator is
asked. Both have the same interface:

>>> import torch
>>> with peak_memory("cpu") as memory:
...     a = torch.zeros(100)            # 400 bytes
...     b = a + 1                       # 400 more, the peak
...     del a
>>> memory.peak_bytes, memory.live_bytes, memory.allocations
(800, 400, 2)
"""

from __future__ import annotations

import weakref
from collections.abc import Sequence
from functools import cache
from types import TracebackType
from typing import Any, Protocol, Self

import torch
from torch import Tensor
from torch.utils._pytree import tree_leaves

from .dispatch import OperatorMode, ProbeError


class PeakMemory(Protocol):
    """Context manager that measures what is allocated inside it; its figures stay readable, also after an error."""

    @property
    def peak_bytes(self) -> int:
        """The most bytes that were live at once."""

    @property
    def live_bytes(self) -> int:
        """Bytes live now, or at the exit once it is left."""

    @property
    def allocations(self) -> int:
        """How many allocations were made."""

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...


@cache
def _is_view(func: Any) -> bool:
    """Whether every result of an operator shares an argument's storage without writing to it, as a view does."""
    returns = func._schema.returns
    return bool(returns) and all(r.alias_info is not None and not r.alias_info.is_write for r in returns)


def _storages(args: Sequence[Any]) -> set[int]:
    """Addresses of the storages of all tensors among the arguments, also of those in lists."""
    found: set[int] = set()
    for arg in args:
        if isinstance(arg, list | tuple):
            found |= _storages(arg)
        elif _is_strided(arg):
            found.add(arg.untyped_storage()._cdata)
    return found


class LiveTensors:
    """Counts the bytes of tensor storages that operators create, from creation until nothing refers to them (CPU).

    A view shares a storage and an in-place operator creates none, so neither adds bytes. Storages from before, such as
    weights, are never counted, even if they are freed inside. The figures are exact and repeatable, with or without
    ``torch.no_grad`` and ``torch.inference_mode``. Tensors made from Python or NumPy data count with their own bytes.

    Not seen are scratch memory inside kernels (attention's tiles, packed copies of a weight, threads' buffers), what
    the allocator rounds up or keeps for later, Python objects, and memory that is not a tensor's. Each operator takes
    some microseconds longer, so never time a round that is measured.
    """

    def __init__(self) -> None:
        self.peak_bytes = self.live_bytes = self.allocations = 0
        self.allocated_bytes = self.largest_bytes = 0
        """Bytes of all allocations together, and of the largest single one."""
        self._live: dict[int, tuple[weakref.ref[Any], int]] = {}
        self._mode = OperatorMode(self._saw)

    def __enter__(self) -> Self:
        """Start watching."""
        self._mode.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching: storages that are freed later no longer change ``live_bytes``."""
        self._mode.__exit__(kind, error, trace)  # type: ignore[no-untyped-call]
        self._live.clear()

    def _saw(self, func: Any, args: Sequence[Any], out: Any) -> None:
        # A tensor made of Python data first appears as the argument of lift_fresh, which returns it.
        made = func.overloadpacket is torch.ops.aten.lift_fresh
        if _is_view(func) and not made:
            return
        for tensor in (out,) if isinstance(out, Tensor) else tree_leaves(out):
            if not _is_strided(tensor):
                continue
            storage = tensor.untyped_storage()
            if storage._cdata in self._live:
                self._weigh_again(storage)
            elif storage.nbytes() and (made or storage._cdata not in _storages(args)):
                self._weigh(storage)

    def _weigh(self, storage: torch.UntypedStorage) -> None:
        key, size = storage._cdata, storage.nbytes()
        self._live[key] = weakref.ref(storage, lambda _: self._forget(key)), size
        self.allocations += 1
        self.allocated_bytes += size
        self.largest_bytes = max(self.largest_bytes, size)
        self._add(size)

    def _weigh_again(self, storage: torch.UntypedStorage) -> None:
        reference, size = self._live[storage._cdata]
        if storage.nbytes() != size:
            self._live[storage._cdata] = reference, storage.nbytes()
            self._add(storage.nbytes() - size)

    def _forget(self, key: int) -> None:
        self.live_bytes -= self._live.pop(key)[1]

    def _add(self, size: int) -> None:
        self.live_bytes += size
        self.peak_bytes = max(self.peak_bytes, self.live_bytes)


class CudaAllocator:
    """Counts the bytes asked of torch's CUDA caching allocator on one device, above those live before (CUDA).

    Requested bytes count, not the size of the blocks that are handed out. Workspaces that libraries ask the allocator
    for are included. Not seen are the CUDA context, the allocator's unused cache, and memory that libraries take from
    the driver. Entering resets the device's peak statistics.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._figures: tuple[int, int, int] | None = None
        self._before = 0, 0

    def _read(self) -> tuple[int, int, int]:
        if self._figures is not None:
            return self._figures
        bytes_before, count_before = self._before
        peak, live, count = self._count()
        return peak - bytes_before, live - bytes_before, count - count_before

    def _count(self) -> tuple[int, int, int]:
        """Read (peak requested bytes, requested bytes now, number of allocations so far)."""
        found = torch.cuda.memory_stats(self._device)
        names = "requested_bytes.all.peak", "requested_bytes.all.current", "allocation.all.allocated"
        peak, live, count = (int(found.get(name, 0)) for name in names)
        return peak, live, count

    @property
    def peak_bytes(self) -> int:
        """The most bytes that were live at once."""
        return self._read()[0]

    @property
    def live_bytes(self) -> int:
        """Bytes live now, or at the exit once it is left."""
        return self._read()[1]

    @property
    def allocations(self) -> int:
        """How many allocations were made."""
        return self._read()[2]

    def __enter__(self) -> Self:
        """Start from what is allocated now."""
        torch.cuda.reset_peak_memory_stats(self._device)
        _, live, count = self._count()
        self._before = live, count
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Keep the figures."""
        self._figures = self._read()


def peak_memory(device: torch.device | str) -> PeakMemory:
    """Measure what is allocated on ``device`` inside a ``with`` block. Raises ProbeError for an unknown device.

    See ``PeakMemory`` for its figures, and ``LiveTensors`` (CPU) and ``CudaAllocator`` (CUDA) for what is not seen.
    """
    device = torch.device(device)
    if device.type == "cpu":
        return LiveTensors()
    if device.type == "cuda":
        return CudaAllocator(device)
    raise ProbeError(f"cannot measure memory on device {str(device)!r}; known: cpu, cuda")


def _is_strided(value: Any) -> bool:
    return isinstance(value, Tensor) and value.layout == torch.strided
