"""Named ranges in a trace: the modules of a model under the names that people use, by hooks that are removed again."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn
from torch.profiler import record_function

from ..probes import ProbeError

_NAMES = (
    (re.compile(r"encoder"), "encode"),
    (re.compile(r"(?:encoder|decoder)\.layers\.(\d+)"), r"layer \1"),
    (re.compile(r".+\.(self_attn|cross_attn|ffn)"), r"\1"),
    (re.compile(r".+\.cross_attn\.kv"), "project_kv"),
    (re.compile(r"lm_head"), "lm_head"),
)


def range_name(path: str) -> str | None:
    """Return the range of the module at ``path``, None if it has none.

    >>> range_name("decoder.layers.3"), range_name("encoder.layers.0.ffn"), range_name("decoder.layers.0.ffn.wi")
    ('layer 3', 'ffn', None)
    """
    for pattern, name in _NAMES:
        if match := pattern.fullmatch(path):
            return match.expand(name)
    return None


def _hooks(name: str) -> tuple[Callable[..., None], Callable[..., None]]:
    running: list[Any] = []

    def enter(module: nn.Module, args: Any) -> None:
        running.append(record_function(name).__enter__())  # type: ignore[no-untyped-call]

    def leave(module: nn.Module, args: Any, out: Any) -> None:
        running.pop().__exit__(None, None, None)

    return enter, leave


@contextmanager
def named_ranges(model: nn.Module) -> Iterator[None]:
    """Let calls of modules open named ranges inside the ``with`` block; hooks are removed after it, errors included.

    ``encode`` is the encoder. ``layer i`` contains ``self_attn``, ``cross_attn`` and ``ffn``. ``project_kv`` is the
    product for the K and V of cross-attention, at prefill, or inside ``cross_attn`` if they are not cached. ``lm_head``
    comes last. Raises ProbeError if the model has none of these.
    """
    named = [(module, name) for path, module in model.named_modules() if (name := range_name(path))]
    if not named:
        raise ProbeError(
            f"cannot trace {type(model).__name__}: it has no encoder, decoder layers or lm_head; give an EncoderDecoder"
        )
    handles = []
    try:
        for module, name in named:
            enter, leave = _hooks(name)
            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave, always_call=True))
        yield
    finally:
        for handle in handles:
            handle.remove()
