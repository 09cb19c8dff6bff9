"""CUDA graphs without a device: the operators of a step, kept with the tensors that they read and wrote, and run again.

As with a real graph, nothing of Python runs when it is replayed, and every operator reads and writes at the addresses
of the capture. A step that depends on a number of the host, or on a tensor that has moved, then gives the wrong logits.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from strategies import execution
from strategies.models.kernels.execution import Captured


class FakeGraph(TorchDispatchMode):
    """Inside its ``with`` block it captures, and ``replay`` runs the same operators on the same tensors."""

    def __init__(self) -> None:
        super().__init__()
        self._calls: list[tuple[Any, tuple[Any, ...], dict[str, Any], Any]] = []
        self.replays = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        if torch.Tag.data_dependent_output in func.tags:
            raise RuntimeError(f"{func} waits for the device, which a capture does not allow")
        out = func(*args, **(kwargs or {}))
        self._calls.append((func, args, kwargs or {}, out))
        return out

    def replay(self) -> None:
        """Run what was captured."""
        self.replays += 1
        for func, args, kwargs, out in self._calls:
            for held, new in zip(tree_leaves(out), tree_leaves(func(*args, **kwargs)), strict=True):
                # A view, and what an operator wrote in place, is already there.
                if isinstance(held, Tensor) and held.untyped_storage()._cdata != new.untyped_storage()._cdata:
                    held.copy_(new)


def _capture(self: Captured, *given: Any) -> tuple[FakeGraph, Tensor]:
    with FakeGraph() as graph:
        logits_XV = self._forward(*given)
    return graph, logits_XV


@contextmanager
def captured_on_the_cpu() -> Iterator[None]:
    """Let sessions on the CPU capture what they would capture on CUDA, as fake graphs."""
    asked: Callable[..., bool] = execution.is_captured
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(execution, "is_captured", lambda strategy, device, beams=1: asked(strategy, "cuda", beams))
        patch.setattr(Captured, "_capture", _capture)
        yield
