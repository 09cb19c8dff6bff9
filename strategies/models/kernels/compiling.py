"""Functions that torch's compiler turns into one graph, called without asking whether they still fit."""

from __future__ import annotations

import os
import types
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from ..mistake import Mistake

P = ParamSpec("P")
R = TypeVar("R")

CPU_OPTIONS: dict[str, Any] = {
    # What several loops read is computed once, not again in each iteration of each of them.
    "realize_reads_threshold": 2,
    "realize_opcount_threshold": 2,
    "cpp.enable_floating_point_contract_flag": "fast",  # multiply-add as one instruction
}


BACKENDS = "TORCH_COMPILE_OVERRIDE_BACKENDS"
SWITCHES = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE", BACKENDS)
"""Environment variables with which torch runs eagerly (the value 1), or by another backend, what it was to compile."""


class CompileError(Mistake):
    """A function that was to be compiled and was not; the message is one line."""


def why_not_compiled() -> str:
    """The environment variable that keeps torch from compiling, with its value and what to do; "" for none."""
    for name in SWITCHES:
        value = os.environ.get(name, "")
        if value == "1" or (value and name == BACKENDS):
            return f"{name}={value} keeps torch from compiling; unset it, or leave execution=compiled out"
    return ""


def graphs_so_far() -> int:
    """Graphs that torch has compiled in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def proven(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """Call what ``one_graph`` made for the first time. Raises CompileError if nothing was compiled by that."""
    before, skipped = graphs_so_far(), False
    try:
        result = function(*given, **named)
    except RuntimeError as error:  # newer versions of torch notice it themselves
        if "found no compiled frames" not in str(error):
            raise
        skipped = True
    if skipped or graphs_so_far() == before:
        reason = why_not_compiled() or (
            "torch ran it without compiling: torch._dynamo.config.disable or torch.compiler.set_stance says so; "
            "undo that, or leave execution=compiled out"
        )
        raise CompileError(f"a step that was to be compiled was not: {reason}")
    return result


def few_guards(guards: Sequence[Any]) -> list[bool]:
    """Of lengths alone: to check that a hundred tensors are what they were takes 0.3 ms, a tenth of a step."""
    return [guard.guard_type == "SHAPE_ENV" for guard in guards]


def lengthen(tensors: Sequence[Tensor]) -> None:
    """Have what is compiled with these take any length of their dimension 2, where it has one of at least 2."""
    for tensor in tensors:
        if tensor.shape[2] > 1:
            torch._dynamo.mark_dynamic(tensor, 2)


def one_graph(function: Callable[P, R], device: str) -> Callable[P, R]:
    """``function`` compiled at its first call, which is by ``proven``; a break in the graph is an error.

    Every call must be like the first in all but the values of tensors, and lengths that ``lengthen`` freed: nothing
    else is checked. A copy of the code, as the compiler remembers by code object what it has compiled.
    """
    assert isinstance(function, types.FunctionType)
    own = types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    options = {"guard_filter_fn": few_guards, "size_asserts": False, **(CPU_OPTIONS if device == "cpu" else {})}
    return torch.compile(own, fullgraph=True, dynamic=False, options=options)
