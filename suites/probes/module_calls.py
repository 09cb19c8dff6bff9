"""Which module of a model is running: a stack of module calls, kept by hooks that are there only meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import nn


@dataclass
class Frame:
    """One running call of the module at ``path``. A probe may keep notes of its own in ``marks``.

    ``given`` are the arguments of a method that counts as a module, None in the call of a module.
    """

    path: str
    role: str
    marks: dict[str, Any] = field(default_factory=dict)
    given: tuple[Any, ...] | None = None


Hooks = tuple[Callable[..., None], Callable[..., None]]


def role_of(model: nn.Module, path: str) -> str:
    """Role of the module at ``path``: the path without lists of modules that do the same, and without their indices.

    ``decoder.layers.3.self_attn.qkv`` becomes ``decoder.self_attn.qkv``. A path that ends in a list is named by the
    list (``heads.2`` -> ``heads``), and the model itself by its class.
    """
    kept: list[str] = []
    ending: list[str] = []
    module: Any = model
    for part in filter(None, path.split(".")):
        child = getattr(module, part)
        if isinstance(child, nn.ModuleList):
            ending = [part]
        elif not isinstance(module, nn.ModuleList):
            kept.append(part)
            ending = []
        module = child
    return ".".join(kept + ending) or type(model).__name__


@contextmanager
def module_calls(model: nn.Module) -> Iterator[list[Frame]]:
    """Yield the running module calls of ``model``, innermost last; the list is kept up to date in the ``with`` block.

    The first frame is always there and stands for whatever runs outside every module. A call that raises leaves the
    list like any other call. Methods that the class of a module names in ``probe_regions`` count as modules inside it.
    All hooks are removed at the exit, also after an error.
    """
    frames = [Frame("", "outside")]

    def hooks(path: str, role: str) -> Hooks:
        def enter(module: nn.Module, args: Any) -> None:
            frames.append(Frame(path, role))

        def leave(module: nn.Module, args: Any, out: Any) -> None:
            frames.pop()

        return enter, leave

    def region(function: Callable[..., Any], path: str, role: str) -> Callable[..., Any]:
        def call(*args: Any) -> Any:
            frames.append(Frame(path, role, given=args))
            try:
                return function(*args)
            finally:
                frames.pop()

        return call

    handles, wrapped = [], []
    try:
        for path, module in model.named_modules():
            role = role_of(model, path)
            for name in getattr(type(module), "probe_regions", ()):
                wrapped.append((module, name, vars(module).get(name)))
                vars(module)[name] = region(getattr(module, name), f"{path}.{name}", f"{role}.{name}")
            enter, leave = hooks(path, role)
            handles.append(module.register_forward_pre_hook(enter, prepend=True))
            handles.append(module.register_forward_hook(leave, always_call=True))
        yield frames
    finally:
        for handle in handles:
            handle.remove()
        for module, name, before in reversed(wrapped):
            del vars(module)[name]
            if before is not None:
                vars(module)[name] = before
