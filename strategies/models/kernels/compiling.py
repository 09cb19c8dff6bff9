"""Compile functions into one graph with torch's compiler, and call them with no guards except those of lengths."""

from __future__ import annotations

import os
import types
import warnings
from collections.abc import Callable, Sequence
from typing import Any, ParamSpec, TypeVar

import torch
from torch import Tensor

from ..mistake import Mistake
from ..torch_settings import compiled_in

P = ParamSpec("P")
R = TypeVar("R")

CPU_OPTIONS: dict[str, Any] = {
    # What several loops read is computed once, and not again in each iteration of each loop.
    "realize_reads_threshold": 2,
    "realize_opcount_threshold": 2,
    "cpp.enable_floating_point_contract_flag": "fast",  # multiply-add as one instruction
}

STATIC = {"automatic_dynamic_shapes": False, "assume_static_by_default": True}
"""Settings of torch's compiler by which every size is a constant that ``lengthen`` has not freed."""

BACKENDS = "TORCH_COMPILE_OVERRIDE_BACKENDS"
SWITCHES = ("TORCHDYNAMO_DISABLE", "TORCH_COMPILE_DISABLE", BACKENDS)
"""Environment variables that have torch run eagerly what it was to compile (the value 1), or use another backend."""


class CompileError(Mistake):
    """A function that was to be compiled was not. The message is one line."""


def why_not_compiled(otherwise: str = "leave execution=compiled out") -> str:
    """The environment variable that keeps torch from compiling, with its value and what to do; "" for none.

    ``otherwise`` is what to do instead of unsetting it.
    """
    for name in SWITCHES:
        value = os.environ.get(name, "")
        if value == "1" or (value and name == BACKENDS):
            return f"{name}={value} keeps torch from compiling; unset it, or {otherwise}"
    return ""


def graphs_so_far() -> int:
    """Number of graphs that torch has compiled in this process."""
    return int(torch._dynamo.utils.counters["stats"]["unique_graphs"])


def proven(function: Callable[P, R], *given: P.args, **named: P.kwargs) -> R:
    """Make the first call of a function that ``one_graph`` made. Raises CompileError if the call compiled nothing.

    torch keeps compiled code on disk, by keys that leave out which attention kernels are allowed, though the code calls
    one of them. They are added to the key here. Sizes are constants of the code. That is set here, because
    ``torch.compile(dynamic=False)`` would set it before each call, and set it back.
    """
    before, skipped = graphs_so_far(), False
    config: Any = torch.compiler.config
    tag = " ".join(map(str, (config.cache_key_tag, *compiled_in())))
    try:
        with config.patch(cache_key_tag=tag), torch._dynamo.config.patch(STATIC), warnings.catch_warnings():
            # That TensorFloat-32 is off: it is off because float32 was asked for.
            warnings.filterwarnings("ignore", "TensorFloat32 tensor cores", UserWarning)
            result = function(*given, **named)
    except RuntimeError as error:  # newer versions of torch raise this themselves
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
    """Keep the guards of lengths alone: checking a hundred tensors takes 0.3 ms, a tenth of a step's time."""
    return [guard.guard_type == "SHAPE_ENV" for guard in guards]


def lengthen(tensors: Sequence[Tensor]) -> None:
    """Let code that is compiled with ``tensors`` take any length of their dimension 2.

    A tensor whose length is 0 or 1 is left alone, because the compiler treats these sizes as constants.
    """
    for tensor in tensors:
        if tensor.shape[2] > 1:
            torch._dynamo.mark_dynamic(tensor, 2)


def one_graph(function: Callable[P, R], device: str) -> Callable[P, R]:
    """Return ``function``, to be compiled by its first call, which ``proven`` makes. A graph break is an error.

    Later calls may differ from the first only in the values of tensors and in lengths that ``lengthen`` freed; nothing
    else is checked. The result is a copy of the code, because the compiler keeps what it compiled by code object.
    """
    assert isinstance(function, types.FunctionType)
    own = types.FunctionType(function.__code__.replace(), function.__globals__, function.__name__)
    options = {"guard_filter_fn": few_guards, "size_asserts": False, **(CPU_OPTIONS if device == "cpu" else {})}
    return torch.compile(own, fullgraph=True, options=options)
