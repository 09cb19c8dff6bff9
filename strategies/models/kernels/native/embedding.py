"""Rows of weights that are held in panels alone, such as those of an embedding that is tied to the head."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ..custom_operator import LIBRARY
from .instruction_set import AVX512_FLAGS, instruction_set
from .panels import Panels
from .stages import kernels

_PANELS: WeakValueDictionary[int, Panels] = WeakValueDictionary()
_NUMBERS = itertools.count()

LIBRARY.define("packed_rows(Tensor ids, int panels, int width) -> Tensor")  # type: ignore[no-untyped-call]


def look_up(panels: Panels) -> Callable[[Tensor], Tensor]:
    """The rows of a packed weight [N, K] by their numbers, int64 [...] -> [..., K], callable from compiled code."""
    number = next(_NUMBERS)
    _PANELS[number] = panels

    def rows(ids: Tensor) -> Tensor:
        if torch.compiler.is_compiling():
            found: Tensor = torch.ops.decodebench.packed_rows.default(ids, number, panels.inner)
            return found
        return gather(panels, ids)

    return rows


def gather(panels: Panels, ids: Tensor) -> Tensor:
    """The rows ``ids`` of a packed weight, [..., K]. Raises IndexError for a number that is none of a row."""
    dense = ids.long().contiguous()
    found = panels.packed.new_empty(*ids.shape, panels.inner)
    wrong = kernels().gather_panels(
        panels.packed.data_ptr(), panels.inner, panels.outputs, dense.data_ptr(), dense.numel(), found.data_ptr()
    )
    if wrong >= 0:
        raise IndexError(f"token {dense.flatten()[wrong]} is not in the vocabulary of {panels.outputs} tokens")
    return found


def unpacked(parts: Sequence[Panels]) -> Tensor:
    """The plain weight [N, K] that panels hold, in the order of its parts; that of int8 is a rounded one."""
    whole = [_dequantised(part) if part.int8 else gather(part, torch.arange(part.outputs)) for part in parts]
    return torch.cat(whole)


def _dequantised(panels: Panels) -> Tensor:
    """The weight [N, K] of panels of int8: [2 + words, width] of 32 bits each, whose first row holds the scales."""
    width, words = 32 if AVX512_FLAGS[0] in instruction_set().flags else 16, math.ceil(panels.inner / 4)
    row = panels.packed.view(-1, 2 + words, width)
    int8 = row[:, 2:].contiguous().view(torch.int8).view(-1, words, width, 4).transpose(1, 2).flatten(2)
    weight = int8.float() * row[:, 0, :, None]
    return weight.flatten(0, 1)[: panels.outputs, : panels.inner].contiguous()


def _call(ids: Tensor, panels: int, width: int) -> Tensor:
    return gather(_PANELS[panels], ids)


def _shape(ids: Tensor, panels: int, width: int) -> Tensor:
    return ids.new_empty(*ids.shape, width, dtype=torch.float32)


LIBRARY.impl("packed_rows", _call, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake("decodebench::packed_rows", _shape, lib=LIBRARY)
