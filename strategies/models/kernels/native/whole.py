"""All layers of a decode step in one call of native code, which also writes the step's K and V.

It takes stores that say in which row of their buffers they keep them (``Placing``), and sources whose K and V do not
depend on the queries (``Kept``). Compiled code calls it as one operator, which declares that it writes the buffers.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import Any, cast
from weakref import WeakValueDictionary, ref

import torch
from torch import Tensor

from ...encoder_decoder import Attended
from ...stores import Growing, Kept, Placing, Step, stands_for
from ..custom_operator import LIBRARY
from . import layers
from .layers import LayerStages
from .program import ATTENTION, Memory, rows_given, runs_as_operator
from .stages import SIZES, Stages

KEYS, BIAS = 2, 9
"""Places of M, and of the four strides of the bias, in the sizes of an attention."""
_STEPS: WeakValueDictionary[int, WholeStep] = WeakValueDictionary()
_NUMBERS = itertools.count()
_NAME = f"{ATTENTION.partition('::')[2]}.writing"

LIBRARY.define(  # type: ignore[no-untyped-call]
    f"{_NAME}(Tensor x, Tensor row, Tensor?[] biases, Tensor(a!)[] own, Tensor[] kept, SymInt keys, int step) -> Tensor"
)


class WholeStep:
    """All layers in one call.

    Slots: x, the row, biases of the source and of self-attention; K and V, own and of the source, of each layer; the
    result; scratch. Each layer has two attentions, whose sizes are kept from step to step.
    """

    def __init__(self, made: LayerStages, memory: Memory, tables: int) -> None:
        self._memory, self._depth, self._tables, self._width = memory, made.depth, tables, made.width
        self._scratch_widths = [*made.scratch_widths(), made.qkv_width, made.width, made.width, made.inner]
        self._stages = stages = Stages()
        of_layers = 3 + tables
        result = of_layers + 4 * made.depth
        context, total, hidden, residual, qkv, between, below, q = range(result + 1, result + 9)
        scratch, x = layers.Scratch(context, total, hidden, residual), 0
        made.start(stages, x, qkv)
        for i in range(made.depth):
            own, kept, bias = of_layers + 2 * i, of_layers + 2 * (made.depth + i), 3 + min(i, tables - 1)
            is_last = i + 1 == made.depth
            y = result if is_last and not made.has_final_norm else below
            made.attend(stages, i, qkv, layers.Attended(own, own + 1, bias, row=1), x, scratch, between, q)
            made.finish(stages, i, q, layers.Attended(kept, kept + 1, 2), between, scratch, y)
            made.pass_on(stages, i, scratch, y, result if is_last else qkv)
            x = y
        self._sizes = [0] * (2 * SIZES * made.depth)
        self._layouts: list[object] = [None] * (2 * made.depth)
        self._asked: tuple[ref[Attended], bool] | None = None  # by reference: what a batch holds ends with its session
        self._number = next(_NUMBERS)
        _STEPS[self._number] = self

    def step(self, x_X1D: Tensor, step: Step, attended: Attended, biases: Sequence[Tensor | None]) -> Tensor | None:
        """Run all layers and the norm at the end, [X, 1, D] -> [X, 1, D]; the buffers are given the step's K and V.

        Returns None, and does nothing, where a store or a source does not allow one call. Raises RuntimeError for K, V
        or a bias that does not fit.
        """
        if not self._takes(attended):
            return None
        own: list[Tensor] = []
        kept: list[Tensor] = []
        row_1 = step.position_1
        for store, source in zip(attended.stores, attended.sources, strict=True):
            k_BGCK, v_BGCK, row_1 = cast(Placing, store).place(step)
            own += k_BGCK, v_BGCK
            kept += cast(Kept, source).kept()
        # A compiled step serves any length of what grows, of which all is read.
        grows = torch.compiler.is_compiling() and isinstance(attended.stores[0], Growing)
        keys = own[0].shape[2] if grows else step.keys
        given = x_X1D, row_1, [attended.source_bias, *biases], own, kept, keys
        if runs_as_operator():
            made_X1D: Tensor = torch.ops.decodebench.stages_with_attention.writing(*given, self._number)
            return made_X1D
        return self.run(*given)

    def _takes(self, attended: Attended) -> bool:
        if torch.compiler.is_compiling():
            return _allows_one_call(attended)
        asked = self._asked
        if asked is None or asked[0]() is not attended:
            self._asked = asked = ref(attended), _allows_one_call(attended)
        return asked[1]

    def run(
        self,
        x_X1D: Tensor,
        row_1: Tensor,
        biases: Sequence[Tensor | None],
        own: Sequence[Tensor],
        kept: Sequence[Tensor],
        keys: int,
    ) -> Tensor:
        """Run the stages at once.

        ``biases`` are those of the source and of each table. ``own`` are the buffers of K and V of each layer, of which
        ``keys`` rows are read, and ``kept`` K and V of the source.
        """
        x_X1D = rows_given(x_X1D, self._width).contiguous()
        made_X1D, rows = torch.empty_like(x_X1D), x_X1D.shape[0]
        source_bias, *of_tables = biases
        room = min(buffer.shape[2] for buffer in own)
        if row_1.dtype != torch.int64 or row_1.numel() != 1 or not 0 <= row_1.item() < room:
            raise RuntimeError(
                f"row {row_1.tolist()} of {row_1.dtype} from place of a store; give int64 [1] below {room}"
            )
        addresses = [x_X1D.data_ptr(), row_1.data_ptr(), *(0 if bias is None else bias.data_ptr() for bias in biases)]
        addresses += [0] * (self._tables - len(of_tables))
        addresses += [tensor.data_ptr() for tensor in (*own, *kept, made_X1D)]
        with self._memory.lock:
            strides = [self._stages.bias_strides(rows, 1, keys, bias) for bias in of_tables]
            for i in range(self._depth):
                k, v = kept[2 * i : 2 * i + 2]
                self._lay_out(2 * i, rows, own[2 * i], own[2 * i + 1], None, keys)
                self._lay_out(2 * i + 1, rows, k, v, source_bias, k.shape[2])
                first = 2 * i * SIZES
                self._sizes[first + KEYS] = keys
                self._sizes[first + BIAS : first + SIZES] = strides[min(i, len(strides) - 1)]
            self._stages.run(addresses + self._memory.addresses(rows, self._scratch_widths), self._sizes, rows)
        return made_X1D

    def _lay_out(self, place: int, rows: int, k: Tensor, v: Tensor, bias: Tensor | None, keys: int) -> None:
        """Set the sizes of an attention, if K, V or their number of rows are not laid out as they were."""
        layout = (
            rows,
            k.dtype,
            k.shape,
            k.stride(),
            v.dtype,
            v.shape,
            v.stride(),
            None if bias is None else bias.stride(),
        )
        if self._layouts[place] == layout and keys <= k.shape[2]:
            return
        if 1 not in (k.shape[3], k.stride(3)) or 1 not in (v.shape[3], v.stride(3)):
            raise RuntimeError("K or V whose rows are not dense; place of a store and kept of a source give dense rows")
        if place % 2 == 0 and k.shape[0] != rows:
            raise RuntimeError(f"K of {k.shape[0]} sequences for {rows} rows; a store with place has one for each row")
        sizes = self._stages.attention_sizes(rows, k, v, bias, keys)
        self._sizes[place * SIZES : (place + 1) * SIZES], self._layouts[place] = sizes, layout


def _allows_one_call(attended: Attended) -> bool:
    """Whether all stores place K and V, and all sources keep them."""
    return all(stands_for(store, "place", "append") for store in attended.stores) and all(
        stands_for(source, "kept", "get") for source in attended.sources
    )


def _call(*given: Any) -> Tensor:
    *arguments, step = given
    return _STEPS[step].run(*arguments)


def _shape(x_X1D: Tensor, *_: object) -> Tensor:
    return torch.empty_like(x_X1D, memory_format=torch.contiguous_format)


LIBRARY.impl(_NAME, _call, "CompositeExplicitAutograd")  # type: ignore[no-untyped-call]
torch.library.register_fake(f"{LIBRARY.ns}::{_NAME}", _shape, lib=LIBRARY)
