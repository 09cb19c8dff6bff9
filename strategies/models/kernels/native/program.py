"""Stages as one operator: tensors in, tensors out. Compiled code calls it as it is, and profiles show it."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Sequence
from weakref import WeakValueDictionary

import torch
from torch import Tensor

from ..custom_operator import LIBRARY
from .stages import Stages

_OPERATORS: WeakValueDictionary[int, Operator] = WeakValueDictionary()
_NUMBERS = itertools.count()

_PRODUCTS, _ATTENTION = "stages", "stages_with_attention"
ATTENTION = f"{LIBRARY.ns}::{_ATTENTION}"
"""The operator that runs stages of which one attends, as a profile names it."""

for _name in (_PRODUCTS, _ATTENTION):
    LIBRARY.define(f"{_name}(Tensor?[] given, int program, int[] widths) -> Tensor[]")  # type: ignore[no-untyped-call]


KEPT_FLOATS = 16 << 20
"""Numbers that stay held between calls: 64 MiB."""


class Memory:
    """Memory for rows that no stage after the last one reads; the programs of a model share it.

    ``lock`` is held while it is used, so that threads that decode with one model take turns.
    """

    def __init__(self) -> None:
        self.lock = threading.RLock()
        self._held = torch.empty(0)

    def addresses(self, rows: int, widths: Sequence[int]) -> list[int]:
        """Addresses of tensors of ``rows`` rows, each of one of the ``widths``."""
        if self._held.numel() < rows * sum(widths):
            self._held = torch.empty(rows * sum(widths))
        first = self._held.data_ptr()
        return [first + 4 * rows * before for before in itertools.accumulate(widths[:-1], initial=0)]

    def trim(self) -> None:
        """Give back what the many rows of an encoder took, if that is more than stays held."""
        with self.lock:
            if self._held.numel() > KEPT_FLOATS:
                self._held = torch.empty(0)


def runs_as_operator() -> bool:
    """Whether native code is called through torch's dispatcher: in compiled code, and in a profile, for a row there.

    Elsewhere it is called without the dispatcher's delay.
    """
    return torch.compiler.is_compiling() or torch._C._autograd._profiler_enabled()


class Operator:
    """What runs as one operator, ``run``. Compiled code calls it as it is, and a profile has a row for it."""

    def __init__(self, attends: bool, widths: Sequence[int]) -> None:
        """Each returned tensor is [X, one of ``widths``]. ``attends``: attention is part of it."""
        self._attends, self._widths = attends, list(widths)
        self._number = next(_NUMBERS)
        _OPERATORS[self._number] = self

    def __call__(self, given: Sequence[Tensor | None]) -> list[Tensor]:
        """Run it on float32 tensors on the CPU, of which the last is rows x [X, D]."""
        if runs_as_operator():
            operators = torch.ops.decodebench
            operator = operators.stages_with_attention if self._attends else operators.stages
            made: list[Tensor] = operator.default(given, self._number, self._widths)
            return made
        return self.run(given)

    def run(self, given: Sequence[Tensor | None]) -> list[Tensor]:
        """Run it at once."""
        raise NotImplementedError


class Program(Operator):
    """Stages with their slots: first the tensors given, then those that are returned, then the scratch.

    Of the tensors given, the last are the rows x [X, D]. Where ``attends``, q [X, ...], K and V [B, G, M, K] and their
    bias (or None) come before.
    """

    def __init__(
        self, stages: Stages, attends: bool, width: int, widths: Sequence[int], memory: Memory, kept: Sequence[int]
    ) -> None:
        """``width`` is D of x, ``kept`` are the widths of the scratch."""
        super().__init__(attends, widths)
        self._stages, self._width, self._memory, self._kept = stages, width, memory, list(kept)

    def run(self, given: Sequence[Tensor | None]) -> list[Tensor]:
        """Run the stages at once."""
        dense = [None if tensor is None else _dense(tensor) for tensor in given]
        x = rows_given(dense[-1], self._width)
        rows, sizes = x.shape[0], list[int]()
        if self._attends:
            _, k, v, bias, _ = dense
            assert k is not None
            assert v is not None
            sizes = self._stages.attention_sizes(rows, k, v, bias)
        made = [x.new_empty(rows, width) for width in self._widths]
        slots = [0 if tensor is None else tensor.data_ptr() for tensor in (*dense, *made)]
        with self._memory.lock:
            self._stages.run(slots + self._memory.addresses(rows, self._kept), sizes, rows)
        return made


def rows_given(x: Tensor | None, width: int) -> Tensor:
    """The rows x [X, ``width``].

    Raises RuntimeError, as torch's products do, for rows that native code would misread.
    """
    assert x is not None
    if x.dtype != torch.float32 or x.device.type != "cpu" or x.shape[-1] != width:
        raise RuntimeError(
            f"rows {list(x.shape)} of {x.dtype} on {x.device}; linear=panel takes rows of {width} in torch.float32 on "
            "the CPU; give linear=torch"
        )
    return x


def _dense(tensor: Tensor) -> Tensor:
    """The tensor, with the elements of its last dimension side by side; those of a matrix lie so as a whole."""
    if tensor.dim() == 2 or tensor.stride(-1) != 1:
        return tensor.contiguous()
    return tensor


def _call(given: Sequence[Tensor | None], program: int, widths: Sequence[int]) -> list[Tensor]:
    return _OPERATORS[program].run(given)


def _shape(given: Sequence[Tensor | None], program: int, widths: Sequence[int]) -> list[Tensor]:
    x = given[-1]
    assert x is not None
    return [x.new_empty(x.shape[0], width) for width in widths]


for _name in (_PRODUCTS, _ATTENTION):
    LIBRARY.impl(_name, _call, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
    torch.library.register_fake(f"{LIBRARY.ns}::{_name}", _shape, lib=LIBRARY)
