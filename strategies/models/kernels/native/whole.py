"""All layers of a decode step in one call of native code, which also writes the step's K and V.

It takes stores that say in which row of their buffers they keep them (``Placing``), and sources whose K and V do not
depend on the queries (``Kept``).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast
from weakref import ref

import torch
from torch import Tensor

from ...encoder_decoder import Attended
from ...stores import Kept, Placing, Step, stands_for
from . import layers
from .layers import LayerStages
from .program import Memory, Operator, rows_given
from .stages import SIZES, Stages

KEYS, BIAS = 2, 9
"""Places of M, and of the four strides of the bias, in the sizes of an attention."""


class WholeStep(Operator):
    """All layers in one call.

    Slots: x, the row, biases of the source and of self-attention; K and V, own and of the source, of each layer; the
    result; scratch. Each layer has two attentions, whose sizes are kept from step to step.
    """

    def __init__(self, made: LayerStages, memory: Memory, tables: int) -> None:
        super().__init__(True, [made.width])
        self._memory, self._depth, self._tables = memory, made.depth, tables
        self._scratch_widths = [*made.scratch_widths(), made.qkv_width, made.width, made.width, made.inner]
        self._stages = stages = Stages()
        of_layers = 3 + tables
        result = of_layers + 4 * made.depth
        context, total, hidden, residual, qkv, between, below, q = range(result + 1, result + 9)
        scratch, x = layers.Scratch(context, total, hidden, residual), 0
        made.start(stages, x, qkv)
        for i in range(made.depth):
            k, bias, is_last = of_layers + 4 * i, 3 + min(i, tables - 1), i + 1 == made.depth
            y = result if is_last and not made.has_final_norm else below
            made.attend(stages, i, qkv, layers.Attended(k, k + 1, bias, row=1), x, scratch, between, q)
            made.finish(stages, i, q, layers.Attended(k + 2, k + 3, 2), between, scratch, y)
            made.pass_on(stages, i, scratch, y, result if is_last else qkv)
            x = y
        self._sizes = [0] * (2 * SIZES * made.depth)
        self._layouts: list[object] = [None] * (2 * made.depth)
        self._of: ref[Attended] | None = None  # no more than a reference: what a batch holds ends with its session
        self._is_taken = False
        self._slots: list[int] = []

    def takes(self, attended: Attended) -> bool:
        """Whether all stores and sources of a batch allow one call."""
        if self._of is None or self._of() is not attended:
            self._of = ref(attended)
            self._is_taken = all(stands_for(store, "place", "append") for store in attended.stores) and all(
                stands_for(source, "kept", "get") for source in attended.sources
            )
        return self._is_taken

    def step(self, x_XD: Tensor, step: Step, attended: Attended, biases: Sequence[Tensor | None]) -> Tensor | None:
        """Run all layers and the norm at the end, [X, D] -> [X, D]; the step's K and V are written to the buffers.

        Returns None, and does nothing, where a store or a source does not allow one call. Raises RuntimeError for K, V
        or a bias that does not fit.
        """
        with self._memory.lock:
            if not self.takes(attended):
                return None
            rows, row_1, keys, read = x_XD.shape[0], step.position_1, step.keys, list[Tensor]()
            strides = [self._stages.bias_strides(rows, 1, keys, bias) for bias in biases]
            for i, (store, source) in enumerate(zip(attended.stores, attended.sources, strict=True)):
                k_BGCK, v_BGCK, row_1 = cast(Placing, store).place(step)
                k_BGSK, v_BGSK = cast(Kept, source).kept()
                own = 2 * i * SIZES
                self._lay_out(2 * i, rows, k_BGCK, v_BGCK, None, keys)
                self._lay_out(2 * i + 1, rows, k_BGSK, v_BGSK, attended.source_bias, k_BGSK.shape[2])
                self._sizes[own + KEYS] = keys
                self._sizes[own + BIAS : own + SIZES] = strides[min(i, len(strides) - 1)]
                read += k_BGCK, v_BGCK, k_BGSK, v_BGSK
            addresses = [0 if bias is None else bias.data_ptr() for bias in (attended.source_bias, *biases)]
            addresses += [0] * (self._tables + 1 - len(addresses))
            self._slots = [row_1.data_ptr(), *addresses, *(tensor.data_ptr() for tensor in read)]
            (made_XD,) = self([x_XD])
            return made_XD

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

    def run(self, given: Sequence[Tensor | None]) -> list[Tensor]:
        """Run the stages on x, with all else as it was noted last."""
        x_XD = rows_given(given[-1], self._widths[0]).contiguous()
        made_XD, rows = torch.empty_like(x_XD), x_XD.shape[0]
        slots = [x_XD.data_ptr(), *self._slots, made_XD.data_ptr(), *self._memory.addresses(rows, self._scratch_widths)]
        self._stages.run(slots, self._sizes, rows)
        return [made_XD]
