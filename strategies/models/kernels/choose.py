"""A probe of a second or two: which kernel is the fastest for each shape of weight and number of rows.

A decode step reads every weight of the decoder once, so a weight comes from memory rather than from a cache. The probe
does the same: it runs all products of the decoder and the head in order, by a kernel and by torch's in turn, and adds
up the time that each shape took. With more rows than a cached step feeds, arithmetic decides, and one layer is enough.
Figures are medians of the paired passes.
"""

from __future__ import annotations

import math
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from ..encoder_decoder import EncoderDecoder
from ..head import Head
from .fused_probe import loops_over_calls
from .in_turn import Clock, in_turn
from .packing import Choice, can_pack, pack, products, unavailable

CALLED = ("transposed", "onednn", "mkl", "panel")
"""Kernels other than torch's that are called; ``fused`` becomes part of the code around it."""
MARGIN, APART = 0.03, 0.1
"""Shares of time by which a kernel must beat torch's (the first) and the best kernel of the whole pass (the second).

Kernels of several libraries in one step disturb one another, and the least of four noisy times is too low.
"""
GROWTH = 8
"""The limit of a bucket of rows over that of the bucket before; the ranking of kernels changes slowly with rows."""

Shape = tuple[int, ...]


@torch.inference_mode()
def choose(
    model: EncoderDecoder, rows: int, rows_max: int, compiled: bool = False, clock: Clock = time.perf_counter
) -> list[Choice]:
    """Choose a kernel for each shape of weight and each bucket of rows.

    The first bucket ends at ``rows``, which a cached step feeds; further ones follow up to ``rows_max``, and the last
    has no limit. ``compiled`` says whether steps will be compiled: for a single row, this adds the choice between the
    kernels found and loops that are part of the compiled step. ``clock`` gives seconds. The model is on the CPU: on a
    GPU, single calls would time launches instead of kernels.
    """
    step = [*products(model.decoder), model.lm_head]
    layer = [*products(model.decoder.layers[0]), *products(model.encoder.layers[0])]
    limits = buckets(rows, rows_max)
    found: dict[tuple[Shape, int], tuple[str, float]] = {}
    for bucket, limit in enumerate(limits):
        fed = rows if bucket == 0 else math.isqrt(limits[bucket - 1] * limit)
        modules = step if bucket == 0 else layer
        sizes = Counter[Shape]()
        for module in modules:
            sizes[tuple(module.weight.shape)] += module.weight.numel()
        ratios = {"torch": dict.fromkeys(sizes, 1.0)}
        for kernel in CALLED:
            # MKL packs for one number of rows, that of a step.
            if not unavailable(model, kernel) and (kernel != "mkl" or bucket == 0) and can_pack(kernel):
                ratios[kernel] = _ratios(modules, kernel, fed, clock)
        leader = min(ratios, key=lambda kernel: sum(sizes[shape] * ratios[kernel][shape] for shape in sizes))
        for shape in sizes:
            of_shape = {kernel: each[shape] for kernel, each in ratios.items()}
            if bucket > 0:
                found[shape, bucket] = _pick(of_shape, leader)
            elif leader == "panel":  # native code joins the products of a step, so it has all or none
                found[shape, bucket] = leader, of_shape[leader]
            else:
                found[shape, bucket] = _pick({k: r for k, r in of_shape.items() if k != "panel"}, leader)
    choices = []
    for shape in dict.fromkeys(tuple(module.weight.shape) for module in [*step, *layer]):
        for bucket, limit in enumerate(limits):
            kernel, ratio = found.get((shape, bucket), ("torch", 1.0))
            choices.append(Choice(shape, None if limit == limits[-1] else limit, kernel, ratio))
    if compiled and rows == 1 and not unavailable(model, "fused"):
        kernels = {shape: kernel for (shape, bucket), (kernel, _) in found.items() if bucket == 0}
        ratio = loops_over_calls(model, kernels, clock)
        # Even where they are only as fast, loops save work between products, as native code does too.
        if ratio < 1 + (-MARGIN if "panel" in kernels.values() else MARGIN):
            choices += [Choice(shape, rows, "fused", ratio, compiled=True) for shape in kernels]
    return choices


def _pick(ratios: dict[str, float], leader: str) -> tuple[str, float]:
    """(the kernel for a shape, its ratio): the leader over all shapes, or one that beats it by more than ``APART``."""
    kernel = min(ratios, key=lambda name: ratios[name])
    if ratios[kernel] > (1 - APART) * ratios[leader]:
        kernel = leader
    if ratios[kernel] > 1 - MARGIN:
        kernel = "torch"
    return kernel, ratios[kernel]


def buckets(rows: int, rows_max: int) -> list[int]:
    """Limits of rows, ascending: the step's own, then ``GROWTH`` times as many until ``rows_max`` is covered.

    >>> buckets(1, 100)
    [1, 8, 64, 512]
    """
    limits = [rows]
    while limits[-1] < rows_max:
        limits.append(limits[-1] * GROWTH)
    return limits


def _ratios(modules: Sequence[nn.Linear | Head], kernel: str, rows: int, clock: Clock) -> dict[Shape, float]:
    """The kernel's time over torch's for each shape of weight: the median over passes through ``modules``."""
    arms = [[pack(module, name, rows)[0] for module in modules] for name in ("torch", kernel)]
    shapes = [tuple(module.weight.shape) for module in modules]
    weight = modules[0].weight
    inputs = {
        shape: torch.rand(rows, 1, shape[1], dtype=weight.dtype, device=weight.device) - 0.5 for shape in set(shapes)
    }
    for arm in arms:
        _pass(arm, shapes, inputs, clock)  # not counted
    passes: dict[Shape, list[float]] = defaultdict(list)
    torchs, kernels = (partial(_pass, arm, shapes, inputs, clock) for arm in arms)
    for torch_s, kernel_s in in_turn(torchs, kernels, clock):
        for shape in inputs:
            passes[shape].append(kernel_s[shape] / torch_s[shape])
    return {shape: statistics.median(ratios) for shape, ratios in passes.items()}


def _pass(
    arm: Sequence[Callable[[Tensor], Tensor]], shapes: Sequence[Shape], inputs: dict[Shape, Tensor], clock: Clock
) -> dict[Shape, float]:
    """Seconds that the products of each shape took in one pass through the modules."""
    took = dict.fromkeys(inputs, 0.0)
    for apply, shape in zip(arm, shapes, strict=True):
        x = inputs[shape]
        start = clock()
        apply(x)
        took[shape] += clock() - start
    return took
