"""Counts of what running code asks of the machine between marks; they are the same on every CPU and in every run.

A ``WorkCounter`` takes the place of the clock in a round, so that what it counts is exactly what is timed with a clock.
Any other code calls ``mark`` itself:

>>> import torch
>>> model = torch.nn.Linear(3, 5)
>>> with torch.no_grad(), WorkCounter(model) as counter:
...     counter.start()
...     _ = model(torch.ones(2, 3)).max().item()
...     counter.mark()
>>> (work,) = counter.work()
>>> work.flops, work.allocations, work.synchronisations, work.products
(60, 3, 1, {'Linear': 1})
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import pairwise
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor, nn

from .dispatch import OperatorMode
from .memory import LiveTensors
from .products import record


@dataclass(frozen=True)
class Work:
    """Counts of what ran between two marks. A view counts as an operator, not as an allocation or a copy.

    - ``flops``: FLOPs of all matrix products.
    - ``moved_bytes``: bytes of weights, K and V that products read (their second factor), and bytes that copying
      operators read and wrote. Activations stay in the processor's caches and are left out.
    - ``operators``: number of operators called, composite ones taken apart. Each costs time in Python and dispatch.
    - ``allocations``, ``allocated_bytes``: storages that operators created, short-lived ones too.
    - ``synchronisations``: operators that need a value or a size from the device before the program can go on, such
      as ``_local_scalar_dense``, in which ``item``, ``int`` and ``bool`` of a tensor end. ``tolist``, ``numpy`` and
      ``cpu`` of a tensor on the CPU call no operator and are not seen.
    - ``products``: number of products by role. The role's first part, encoder or decoder, is left out, since marks
      separate prefill from steps.
    """

    flops: int
    moved_bytes: int
    operators: int
    allocations: int
    allocated_bytes: int
    synchronisations: int
    products: Mapping[str, int]


@dataclass(frozen=True)
class _Mark:
    """Counts so far when a mark was taken; products and copies are numbers of records, which are summed up later."""

    products: int
    copies: int
    operators: int
    allocations: int
    allocated_bytes: int
    synchronisations: int


class WorkCounter:
    """Counts what runs inside its ``with`` block; the modules of ``model`` name the products.

    It has the interface of ``suites.timing.clock.Clock``, but takes no times. The limits of ``record`` hold here too:
    use it forward only and never in a timed round; nothing inside kernels or compiled code is seen. Raises ProbeError
    at an operator whose products it cannot see.
    """

    every_step = True

    def __init__(self, model: nn.Module) -> None:
        self._model = model
        self._marks: list[_Mark] = []
        self._operators = self._synchronisations = 0
        self._inside = ExitStack()

    def __enter__(self) -> Self:
        """Start watching."""
        self._recording = self._inside.enter_context(record(self._model))
        self._memory = self._inside.enter_context(LiveTensors())
        self._inside.enter_context(OperatorMode(self._saw))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stop watching; what was counted stays readable."""
        self._inside.close()

    def _saw(self, func: Any, args: Sequence[Any], out: Any) -> None:
        self._operators += 1
        self._synchronisations += _waits(func, args)

    def start(self) -> None:
        """Forget earlier marks and take the first."""
        self._marks.clear()
        self.mark()

    def mark(self) -> None:
        """Take a mark: what ran since the mark before it becomes one ``Work``."""
        self._marks.append(
            _Mark(
                len(self._recording.products),
                len(self._recording.copies),
                self._operators,
                self._memory.allocations,
                self._memory.allocated_bytes,
                self._synchronisations,
            )
        )

    step = mark

    def marks_s(self) -> list[float]:
        """An empty list, since no times are taken."""
        return []

    def work(self) -> list[Work]:
        """One ``Work`` per pair of neighbouring marks; an empty list below two marks."""
        return [self._between(first, last) for first, last in pairwise(self._marks)]

    def _between(self, first: _Mark, last: _Mark) -> Work:
        products = self._recording.products[first.products : last.products]
        copies = self._recording.copies[first.copies : last.copies]
        read = sum(found.operand_bytes for found in products)
        return Work(
            flops=sum(found.product.flops for found in products),
            moved_bytes=read + 2 * sum(copy.written_bytes for copy in copies),
            operators=last.operators - first.operators,
            allocations=last.allocations - first.allocations,
            allocated_bytes=last.allocated_bytes - first.allocated_bytes,
            synchronisations=last.synchronisations - first.synchronisations,
            products=dict(sorted(Counter(_kind(found.product.role) for found in products).items())),
        )


def _kind(role: str) -> str:
    side, _, rest = role.partition(".")
    return rest if side in ("encoder", "decoder") and rest else role


def _waits(func: Any, args: Sequence[Any]) -> bool:
    """Whether an operator makes the program wait for a value, or for a size that depends on values."""
    if torch.Tag.data_dependent_output in func.tags:
        return True
    if torch.Tag.dynamic_output_shape not in func.tags:
        return False
    if func.overloadpacket is not torch.ops.aten.index:
        return True
    # The size of a result is known beforehand if the index holds whole numbers, and unknown if it is a mask.
    return any(isinstance(index, Tensor) and index.dtype == torch.bool for index in args[1])
