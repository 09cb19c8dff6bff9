"""Named ranges in a trace: the modules of a model under the names that people use, by hooks that are removed again.

A range is one of torch's profiler. On CUDA it is an NVTX range as well, which Nsight Systems shows.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from types import TracebackType
from typing import Any

from torch import nn
from torch.cuda import nvtx
from torch.profiler import record_function

from ..probes import ProbeError

ROOTS = ("prefill", "decode_step")
"""The outermost ranges; the k of a step follows its name."""
_NAMES = (
    (re.compile(r"encoder"), "encode"),
    (re.compile(r"(?:encoder|decoder)\.layers\.(\d+)"), r"layer \1"),
    (re.compile(r".+\.(self_attn|cross_attn|ffn)"), r"\1"),
    (re.compile(r".+\.cross_attn\.kv"), "project_kv"),
    (re.compile(r"lm_head"), "lm_head"),
)
REORDER, SEARCH = "reorder", "search"
"""Ranges of beams: what is copied as they are reordered, and the choice of those that go on."""
_OURS = re.compile(
    rf"({'|'.join(ROOTS)})( \d+)?|encode|layer \d+|self_attn|cross_attn|ffn|project_kv|lm_head|{REORDER}|{SEARCH}"
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


def is_range_name(name: str) -> bool:
    """Whether ``name`` is that of a range. torch and its compiler open others.

    >>> [is_range_name(name) for name in ("decode_step 61", "layer 0", "ffn", "ProfilerStep*")]
    [True, True, True, False]
    """
    return bool(_OURS.fullmatch(name))


class NamedRange:
    """A range of torch's profiler and, where ``device`` is "cuda", an NVTX range of the same name around it."""

    def __init__(self, name: str, device: str) -> None:
        self._name, self._on_cuda = name, device == "cuda"
        self._recorded = record_function(name)

    def __enter__(self) -> NamedRange:
        if self._on_cuda:
            nvtx.range_push(self._name)  # type: ignore[no-untyped-call]
        self._recorded.__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            self._recorded.__exit__(kind, error, traceback)
        finally:
            if self._on_cuda:
                nvtx.range_pop()  # type: ignore[no-untyped-call]


def nvtx_range(name: str, device: str) -> AbstractContextManager[None]:
    """An NVTX range where ``device`` is "cuda", and nothing elsewhere."""
    return nvtx.range(name) if device == "cuda" else nullcontext()


def in_range(function: Callable[..., Any], name: str, device: str) -> Callable[..., Any]:
    """Return ``function`` with each of its calls in a range."""

    def call(*args: Any, **named: Any) -> Any:
        with NamedRange(name, device):
            return function(*args, **named)

    return call


def _hooks(name: str, device: str, running: list[NamedRange]) -> tuple[Callable[..., None], Callable[..., None]]:
    def enter(module: nn.Module, args: Any) -> None:
        running.append(NamedRange(name, device).__enter__())

    def leave(module: nn.Module, args: Any, out: Any) -> None:
        running.pop().__exit__(None, None, None)

    return enter, leave


@contextmanager
def named_ranges(model: nn.Module, device: str = "cpu") -> Iterator[None]:
    """Let calls of modules open named ranges inside the ``with`` block; hooks are removed after it, errors included.

    ``encode`` is the encoder. ``layer i`` contains ``self_attn``, ``cross_attn`` and ``ffn``. ``project_kv`` is the
    product for the K and V of cross-attention, at prefill, or inside ``cross_attn`` if they are not cached. ``lm_head``
    comes last. ``reorder`` holds what is copied as beams are reordered. ``device`` is where the model is. Raises
    ProbeError if the model has none of these.
    """
    named = [(module, name) for path, module in model.named_modules() if (name := range_name(path))]
    if not named:
        raise ProbeError(
            f"cannot trace {type(model).__name__}: it has no encoder, decoder layers or lm_head; give an EncoderDecoder"
        )
    handles = []
    running: list[NamedRange] = []
    decoder: Any = getattr(model, "decoder", None)
    reorders = hasattr(decoder, "select")
    try:
        if reorders:
            vars(decoder)["select"] = in_range(decoder.select, REORDER, device)
        for module, name in named:
            enter, leave = _hooks(name, device, running)
            handles.append(module.register_forward_pre_hook(enter))
            handles.append(module.register_forward_hook(leave, always_call=True))
        yield
    finally:
        if reorders:
            del vars(decoder)["select"]
        for handle in handles:
            handle.remove()
        while running:  # an interrupt calls no hook
            running.pop().__exit__(None, None, None)
