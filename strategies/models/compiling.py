"""Functions that torch's compiler turns into one graph, called without asking whether they still fit."""

from __future__ import annotations

import types
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

P = ParamSpec("P")
R = TypeVar("R")

CPU_OPTIONS: dict[str, Any] = {
    # What several loops read is computed once, not again in each iteration of each of them.
    "realize_reads_threshold": 2,
    "realize_opcount_threshold": 2,
    "cpp.enable_floating_point_contract_flag": "fast",  # multiply-add as one instruction
}


def few_guards(guards: Sequence[Any]) -> list[bool]:
    """Of lengths alone: to check that a hundred tensors are what they were takes 0.3 ms, a tenth of a step."""
    return [guard.guard_type == "SHAPE_ENV" for guard in guards]


def lengthen(tensors: Sequence[Tensor]) -> None:
    """Have what is compiled with these take any length of their dimension 2, where it has one of at least 2."""
    for tensor in tensors:
        if tensor.shape[2] > 1:
            torch._dynamo.mark_dynamic(tensor, 2)


def one_graph(function: Callable[P, R], device: str) -> Callable[P, R]:
    """``function`` compiled at its first call; a break in the graph is an error.

    Every call must be like the first in all but the values of tensors, and lengths that ``lengthen`` freed: nothing
    else is checked. A copy of the code, as the compiler remembers by code object what it has compiled.
    """
    assert isinstance(function, types.FunctionType)
    own = types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    options = {"guard_filter_fn": few_guards, "size_asserts": False, **(CPU_OPTIONS if device == "cpu" else {})}
    return torch.compile(own, fullgraph=True, dynamic=False, options=options)
