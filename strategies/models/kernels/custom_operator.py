"""Hide kernels that torch's compiler cannot trace in one operator, which compiled code calls as it is.

The compiler knows the products of oneDNN and MKL only where it has packed the weights itself, and fails on weights that
we packed. Compiled functions therefore call a kernel through ``torch.ops.decodebench.packed_linear``.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from weakref import WeakValueDictionary

import torch
from torch import Tensor

Apply = Callable[[Tensor], Tensor]

LIBRARY = torch.library.Library("decodebench", "DEF")  # type: ignore[no-untyped-call]
LIBRARY.define("packed_linear(Tensor x, int kernel, int width) -> Tensor")  # type: ignore[no-untyped-call]
_KERNELS: WeakValueDictionary[int, Apply] = WeakValueDictionary()
_NUMBERS = itertools.count()


def _call(x: Tensor, kernel: int, width: int) -> Tensor:
    return _KERNELS[kernel](x)


def _shape(x: Tensor, kernel: int, width: int) -> Tensor:
    return x.new_empty(*x.shape[:-1], width)


LIBRARY.impl("packed_linear", _call, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("decodebench::packed_linear", _shape, lib=LIBRARY)


def opaque(apply: Apply, width: int) -> Apply:
    """Make ``apply``, [..., in] -> [..., ``width``], callable from eager and from compiled code."""
    number = next(_NUMBERS)
    _KERNELS[number] = apply

    def call(x: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            return torch.ops.decodebench.packed_linear.default(x, number, width)
        return apply(x)

    return call
