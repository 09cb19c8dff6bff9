"""How a decode step is executed: operator by operator, as one compiled function, or as a captured CUDA graph.

All three run ``next_logits``. On CUDA, a compiled step is captured too where its strategy can be, because launching its
kernels one by one takes longer than running them.

Of what a compiled or captured step reads, only tensors on the device change from one position to the next. Everything
else is the same for all positions of a variant (``Strategy.variant``), such as a length bucket. A strategy has a few
variants, and each is compiled or captured once.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Hashable
from weakref import WeakKeyDictionary

import torch
from torch import Tensor

from ..encoder_decoder import Attended, EncoderDecoder
from ..stores import Step
from ..torch_settings import compiled_in
from .compiling import one_graph, proven

Given = tuple[EncoderDecoder, Tensor, Step, Attended]
"""The arguments of ``next_logits``, in its order."""
Forward = Callable[[*Given], Tensor]


def next_logits(model: EncoderDecoder, token_BT: Tensor, step: Step, attended: Attended) -> Tensor:
    """Feed T rows per sequence; return the logits [B, V] of the token after the last row. B counts sequences."""
    x_BTD = model.decoder(token_BT, step, attended)
    logits_BV: Tensor = model.lm_head(x_BTD.select(1, -1))
    return logits_BV


_COMPILED: WeakKeyDictionary[EncoderDecoder, dict[Hashable, Forward]] = WeakKeyDictionary()


def compiled(key: Hashable, *given: *Given) -> tuple[Forward, Tensor]:
    """Return (``next_logits`` as one graph of ``torch.compile``, its result for ``given``).

    Sessions of a model with the same ``key`` share the graph, which the first call compiles. Raises CompileError if
    torch compiled nothing.
    """
    model = given[0]
    made = _COMPILED.setdefault(model, {})
    if key in made:
        return made[key], made[key](*given)
    forward = one_graph(next_logits, model.embedding.weight.device.type)
    logits_BV = proven(forward, *given)
    made[key] = forward
    return forward, logits_BV


def forget(model: EncoderDecoder) -> None:
    """Drop a model's compiled steps, because its products have changed; later sessions compile anew."""
    _COMPILED.pop(model, None)


class Compiled:
    """``next_logits``, compiled once per variant for all sessions with the same ``key`` and settings of torch."""

    def __init__(self, key: Hashable) -> None:
        self._key = key, torch.get_num_threads(), compiled_in()
        self._variants: dict[int, Forward] = {}

    def __call__(self, *given: *Given) -> Tensor:
        """Run this step's variant. Raises CompileError if this is its first run and torch compiled nothing."""
        variant = given[2].variant
        if variant in self._variants:
            return self._variants[variant](*given)
        self._variants[variant], logits_BV = compiled((self._key, variant), *given)
        return logits_BV


class Captured:
    """``next_logits`` as CUDA graphs, one per variant and side, which the first call with these captures.

    ``forward`` may be its compiled form, which is then compiled before it is captured. The arguments must keep the
    addresses that they had at the capture: the session copies tokens, and at prefill sources, there. The next call
    overwrites the result.
    """

    def __init__(self, forward: Forward = next_logits) -> None:
        self._forward = forward
        self._graphs: dict[tuple[int, int], tuple[torch.cuda.CUDAGraph, Tensor]] = {}

    def __call__(self, *given: *Given) -> Tensor:
        """Replay the graph of this step's variant and side."""
        _, _, step, *_ = given
        key = step.variant, step.side
        if key not in self._graphs:
            self._graphs[key] = self._capture(*given)
        graph, logits_BV = self._graphs[key]
        graph.replay()
        return logits_BV

    def _capture(self, *given: *Given) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        """Warm up on a separate stream, because libraries allocate memory on first use, then capture.

        Garbage is collected before, because what dies during a capture may call functions that are forbidden there.
        """
        side = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(3):
                self._forward(*given)
        torch.cuda.current_stream().wait_stream(side)
        graph = torch.cuda.CUDAGraph()
        gc.collect()
        pool = next(iter(self._graphs.values()))[0].pool() if self._graphs else None
        with torch.cuda.graph(graph, pool=pool):
            logits_BV = self._forward(*given)
        return graph, logits_BV
