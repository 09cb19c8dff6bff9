"""The profiler's events as plain data: each range and operator that ran, with the ranges that enclose it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

# The operators that ``probes.record`` counts, under the profiler's names.
_PRODUCT = re.compile(r"aten::(mm|addmm|_addmm_activation|mv|bmm|baddbmm)")
_FUSED = re.compile(r"aten::_scaled_dot_product_(?!attention_math)\w+")
ROOTS = ("prefill", "decode_step")


@dataclass(frozen=True)
class Call:
    """One range (``shapes`` is None) or one operator that ran inside ``prefill`` or a ``decode_step``.

    ``ranges``: names of the enclosing ranges, outermost first; the last of a range is its own. Times are in seconds on
    the host. ``self_s`` excludes the operators and ranges inside it; ``device_s`` is the time of its own kernels on a
    GPU. ``allocated_bytes``: bytes that it allocated itself and did not free before its end. ``products``: how many
    matrix products it is, two for a fused attention. ``in_product``: whether it is one, or is called by a fused
    attention.
    """

    name: str
    ranges: tuple[str, ...]
    shapes: str | None
    total_s: float
    self_s: float
    device_s: float
    allocated_bytes: int
    products: int
    in_product: bool

    @property
    def is_range(self) -> bool:
        """Whether it is a named range and not an operator."""
        return self.shapes is None


def show_shapes(shapes: Any) -> str:
    """Write the shapes of an operator's tensors; scalars and other arguments are left out.

    >>> show_shapes([[24], [1, 24], [24, 48], [], []]), show_shapes([[[1, 2, 3, 8], [1, 2, 1, 8]], []])
    ('24 1x24 24x48', '1x2x3x8 1x2x1x8')
    """
    if shapes and all(isinstance(size, int) for size in shapes):
        return "x".join(map(str, shapes))
    return " ".join(filter(None, (show_shapes(shape) for shape in shapes)))


def _enclosing(event: Any) -> list[Any]:
    """The event and all events that enclose it, outermost first."""
    chain = []
    while event is not None:
        chain.append(event)
        event = event.cpu_parent
    return chain[::-1]


def read_calls(events: Iterable[Any]) -> list[Call]:
    """Read what ran on the host in ``prefill`` and each ``decode_step`` from ``torch.profiler.profile.events()``."""
    calls = []
    for event in events:
        if event.device_type.name != "CPU":
            continue
        chain = _enclosing(event)
        names = [e.name for e in chain if e.is_user_annotation]
        start = next((i for i, name in enumerate(names) if name.partition(" ")[0] in ROOTS), None)
        if start is None or event.name == "[memory]":
            continue
        # Older versions of torch have only ``input_shapes``, in which a list of tensors has no shapes.
        shapes = getattr(event, "structured_input_shapes", None) or event.input_shapes
        fused = any(_FUSED.fullmatch(e.name) for e in chain)
        product = bool(_PRODUCT.fullmatch(event.name))
        calls.append(
            Call(
                name=event.name,
                ranges=tuple(names[start:]),
                shapes=None if event.is_user_annotation else show_shapes(shapes),
                total_s=event.time_range.elapsed_us() * 1e-6,
                self_s=event.self_cpu_time_total * 1e-6,
                device_s=0.0 if event.is_user_annotation else event.self_device_time_total * 1e-6,
                allocated_bytes=max(0, event.self_cpu_memory_usage + event.self_device_memory_usage),
                products=2 if _FUSED.fullmatch(event.name) else int(product),
                in_product=fused or product,
            )
        )
    return calls
