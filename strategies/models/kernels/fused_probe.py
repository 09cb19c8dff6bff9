"""A probe: whether the products of a compiled step of one row are faster as the compiler's loops than as kernels."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor

from ..encoder_decoder import EncoderDecoder
from .compiling import one_graph, proven
from .in_turn import Clock, in_turn
from .one_row import product
from .packing import pack, products


def loops(weights: Sequence[Tensor], inputs: dict[int, Tensor]) -> list[Tensor]:
    """Multiply each weight [X, D] by the input row of its width D; the results are [X] each."""
    return [product(weight_XD, None)(inputs[weight_XD.shape[1]]) for weight_XD in weights]


def loops_over_calls(model: EncoderDecoder, kernels: dict[tuple[int, ...], str], clock: Clock) -> float:
    """Time of all products of a step as loops over their time by ``kernels``: the median ratio of paired passes.

    ``kernels`` maps the shape of a weight to the name of its kernel. The products of a layer are one compiled function,
    called with the weights of each layer in turn, and that of the head is another. ``clock`` gives seconds.
    """
    parts = [list(products(layer)) for layer in model.decoder.layers] + [[model.lm_head]]
    weights = [[module.weight.detach() for module in part] for part in parts]
    calls = [[pack(module, kernels[tuple(module.weight.shape)], 1)[0] for module in part] for part in parts]
    inputs = {size: torch.rand(size) - 0.5 for size in {weight.shape[1] for part in weights for weight in part}}
    layer, head = one_graph(loops, "cpu"), one_graph(loops, "cpu")
    functions = [layer] * len(model.decoder.layers) + [head]

    def by_loops() -> None:
        for function, part in zip(functions, weights, strict=True):
            function(part, inputs)

    def by_calls() -> None:
        for applies, part in zip(calls, weights, strict=True):
            for apply, weight in zip(applies, part, strict=True):
                apply(inputs[weight.shape[1]])

    proven(layer, weights[0], inputs)
    proven(head, weights[-1], inputs)
    for run in (by_loops, by_calls):
        run()
    timed = in_turn(partial(_seconds, by_loops, clock), partial(_seconds, by_calls, clock), clock)
    return statistics.median(loops_s / calls_s for loops_s, calls_s in timed)


def _seconds(run: Callable[[], None], clock: Clock) -> float:
    start = clock()
    run()
    return clock() - start
