"""The profiler's events as plain data: each range and operator that ran, with the ranges that enclose it.

Other events have no row of their own: calls of CUDA's runtime and driver, and what torch's compiler notes around a
function that it compiled. Their time and memory belong to the operator that encloses them, if there is one. Else their
time is the range's own.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from .ranges import ROOTS, is_range_name

# The operators that ``probes.record`` counts, under the profiler's names.
_PRODUCT = re.compile(r"aten::(mm|addmm|_addmm_activation|mv|bmm|baddbmm)")
_FUSED = re.compile(r"aten::_scaled_dot_product_(?!attention_math)\w+")
# Products by other kernels (``linear=``, ``weights=``), which it does not see.
_PACKED = re.compile(r"aten::_weight_int8pack_mm|mkldnn::_linear_pointwise|mkl::_mkl_linear|decodebench::stages\w*")
_CUDA_API = re.compile(r"cu(da)?[A-Z]\w*")
"""Calls of CUDA's runtime and driver, such as cudaLaunchKernel, cuLaunchKernelEx and cudaDeviceSynchronize."""
_COMPILED = "Torch-Compiled Region"
"""How a function that torch compiled begins its name. Numbers of the compiler follow.

In the eager steps that are profiled only products are compiled, those of ``weights=int8`` on CUDA.
"""


@dataclass(frozen=True)
class Call:
    """One range (``shapes`` is None) or one operator that ran inside ``prefill`` or a ``decode_step``.

    ``ranges``: names of the enclosing ranges, outermost first; the last of a range is its own. Times are in seconds on
    the host. ``self_s`` excludes the operators and ranges inside it. ``device_s`` is the time on a GPU of the kernels
    that it launched itself; those of a range were launched by no operator. ``allocated_bytes``: bytes that it allocated
    itself and did not free before its end. ``products``: how many of the matrix products that ``probes.record`` counts
    it is, two for a fused attention. ``in_product``: whether it is a matrix product, or is called by a fused attention
    or by a compiled product.
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


def _is_range(event: Any) -> bool:
    return bool(event.is_user_annotation) and is_range_name(event.name)


def _is_cuda_api(event: Any) -> bool:
    return bool(_CUDA_API.fullmatch(event.name))


def _is_operator(event: Any) -> bool:
    """Whether the dispatcher ran it, or it is a compiled function, or it launched kernels, as those of Triton do.

    The kernels of a call of CUDA's runtime do not count. The operator around it has launched them, and torch assigns
    further ones by mistake to calls outside of operators, whose numbers may be those of operators.
    """
    if event.is_user_annotation or _is_cuda_api(event):
        return False
    return "::" in event.name or event.name.startswith(_COMPILED) or bool(event.kernels)


def _owner(event: Any) -> Any:
    """The innermost range or operator that is the event or encloses it; None outside of all."""
    while event is not None and not _is_range(event) and not _is_operator(event):
        event = event.cpu_parent
    return event


def _outside_operators(events: Iterable[Any]) -> dict[int, float]:
    """Microseconds of the kernels that a range launched through no operator, by ``id`` of the range's event.

    A kernel has the number of the call that launched it.
    """
    events = list(events)
    launches = {event.id: event for event in events if event.device_type.name == "CPU" and _is_cuda_api(event)}
    outside_us: dict[int, float] = defaultdict(float)
    for event in events:
        if event.device_type.name == "CPU" or event.is_user_annotation or event.id not in launches:
            continue
        owner = _owner(launches[event.id])
        if owner is not None and _is_range(owner):
            outside_us[id(owner)] += event.time_range.elapsed_us()
    return outside_us


def read_calls(events: Iterable[Any]) -> list[Call]:
    """Read what ran on the host in ``prefill`` and each ``decode_step`` from ``torch.profiler.profile.events()``."""
    events = list(events)
    outside_us = _outside_operators(events)
    on_host = [event for event in events if event.device_type.name == "CPU" and event.name != "[memory]"]
    own_us: dict[int, float] = defaultdict(float)
    own_bytes: dict[int, int] = defaultdict(int)
    for event in on_host:
        if (owner := _owner(event)) is not None:
            own_us[id(owner)] += event.self_cpu_time_total
            own_bytes[id(owner)] += event.self_cpu_memory_usage + event.self_device_memory_usage
    calls = []
    for event in on_host:
        is_range = _is_range(event)
        if not is_range and not _is_operator(event):
            continue
        chain = _enclosing(event)
        names = [e.name for e in chain if _is_range(e)]
        start = next((i for i, name in enumerate(names) if name.partition(" ")[0] in ROOTS), None)
        if start is None:
            continue
        # Older versions of torch have only ``input_shapes``, in which a list of tensors has no shapes.
        shapes = getattr(event, "structured_input_shapes", None) or event.input_shapes
        inside = any(_FUSED.fullmatch(e.name) or e.name.startswith(_COMPILED) for e in chain)
        product = bool(_PRODUCT.fullmatch(event.name))
        calls.append(
            Call(
                name=_COMPILED if event.name.startswith(_COMPILED) else event.name,
                ranges=tuple(names[start:]),
                shapes=None if is_range else show_shapes(shapes),
                total_s=event.time_range.elapsed_us() * 1e-6,
                self_s=own_us[id(event)] * 1e-6,
                device_s=1e-6 * (outside_us[id(event)] if is_range else event.self_device_time_total),
                allocated_bytes=max(0, own_bytes[id(event)]),
                products=2 if _FUSED.fullmatch(event.name) else int(product),
                in_product=inside or product or bool(_PACKED.fullmatch(event.name)),
            )
        )
    return calls
