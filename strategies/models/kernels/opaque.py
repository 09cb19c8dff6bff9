"""Kernels that torch's compiler cannot look into, as one operator of ours that it calls and leaves alone.

The compiler knows oneDNN's and MKL's products only where it has packed the weights itself; asked to compile ours, it
fails. Inside a compiled function a kernel is therefore reached through ``torch.ops.decodebench.packed_linear``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from weakref import WeakValueDictionary

import torch
from torch import Tensor

Apply = Callable[[Tensor], Tensor]

_LIBRARY = torch.library.Library("decodebench", "DEF")  # type: ignore[no-untyped-call]
_LIBRARY.define("packed_linear(Tensor x, int kernel, int width) -> Tensor")  # type: ignore[no-untyped-call]
_KERNELS: WeakValueDictionary[int, Apply] = WeakValueDictionary()
_NUMBERS = itertools.count()


def _call(x: Tensor, kernel: int, width: int) -> Tensor:
    return _KERNELS[kernel](x)


def _shape(x: Tensor, kernel: int, width: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], width)


_LIBRARY.impl("packed_linear", _call, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("decodebench::packed_linear", _shape, lib=_LIBRARY)


def opaque(apply: Apply, width: int) -> Apply:
    """``apply``, [..., in] -> [..., ``width``], for eager and for compiled code."""
    number = next(_NUMBERS)
    _KERNELS[number] = apply

    def call(x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return torch.ops.decodebench.packed_linear.default(x, number, width)
        return apply(x)

    return call
