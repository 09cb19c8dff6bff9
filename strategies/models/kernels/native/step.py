"""The layers of a decode step as native code, in one call or in two for each layer.

One call runs all layers where the stores say in which row of their buffers they keep this step's K and V (``Placing``)
and the sources have K and V that do not depend on queries (``Kept``). Where a store has more to do, or in compiled
code, ``SelfAttention.append`` and ``CrossAttention.read`` are called between two calls of native code, as in the model
itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ...encoder_decoder import Attended, Decoder
from ...stores import Kept, Placing, Step
from . import layers
from .layers import LayerStages, Packed
from .program import Memory, Program
from .stages import Stages, attention_sizes


class NativeLayers:
    """What takes the place of ``Decoder.run_layers`` in steps of one row per sequence."""

    def __init__(self, decoder: Decoder, packed: Packed, memory: Memory, loops: bool) -> None:
        """``packed`` gives panels by module. ``loops``: compiled steps go through the model's own modules."""
        self._decoder, self._loops = decoder, loops
        made = LayerStages(decoder, packed)
        self._layers = made.layers
        self._start = _start(made, memory)
        self._before = [_before(made, memory, i) for i in range(len(self._layers))]
        self._after = [_after(made, memory, i) for i in range(len(self._layers))]
        self._whole = WholeStep(made, memory, len(decoder.relative_biases) or 1)

    def __call__(
        self, x_BTD: Tensor, step: Step, attended: Attended, query_position_T: Tensor, key_position_M: Tensor | None
    ) -> Tensor:
        """Run all layers and the norm at the end, [X, 1, D] -> [X, 1, D].

        More rows per sequence go through the model's own modules, and so do all where torch's attention was asked for.
        """
        compiling = torch.compiler.is_compiling()
        if step.rows > 1 or (self._loops and compiling) or not self._layers[0].self_attn.may_write_out:
            return Decoder.run_layers(self._decoder, x_BTD, step, attended, query_position_T, key_position_M)
        biases: list[Tensor | None] = [None]
        if key_position_M is not None:
            tables = range(len(attended.tables.distances))
            biases = [self._decoder.score_bias(i, attended.tables, query_position_T, key_position_M) for i in tables]
        x_XD = x_BTD.flatten(0, 1)
        if not compiling and self._whole.takes(attended):
            return self._whole(x_XD, step, attended, biases)[:, None]
        return self._by_layers(x_XD, step, attended, biases)[:, None]

    def _by_layers(self, x_XD: Tensor, step: Step, attended: Attended, biases: Sequence[Tensor | None]) -> Tensor:
        (made,) = self._start([x_XD])
        for i, layer in enumerate(self._layers):
            _, k_BGTK, v_BGTK = layer.self_attn.split(made[:, None])
            k_BGMK, v_BGMK = layer.self_attn.append(attended.stores[i], k_BGTK, v_BGTK, step)
            bias = biases[min(i, len(biases) - 1)]
            x_XD, q_XI = self._before[i]([made, k_BGMK, v_BGMK, bias, x_XD])
            q_BHTK = layer.cross_attn.split(q_XI[:, None])
            read = layer.cross_attn.read(attended.sources[i], q_BHTK, attended.source_bias)
            x_XD, made = self._after[i]([q_XI, *read, x_XD])
        return made


def _start(made: LayerStages, memory: Memory) -> Program:
    stages = Stages()
    made.start(stages, x=0, qkv=1)
    return Program(stages, False, [made.qkv_width], memory, [])


def _before(made: LayerStages, memory: Memory, i: int) -> Program:
    """From Q K V, K, V, bias and x to x after self-attention, and Q of cross-attention."""
    stages = Stages()
    made.attend(stages, i, 0, layers.Attended(1, 2, 3), 4, layers.Scratch(7, 8, 9, 10), y=5, q=6)
    return Program(stages, True, [made.width, made.inner], memory, made.scratch_widths())


def _after(made: LayerStages, memory: Memory, i: int) -> Program:
    """From Q, K, V, bias and x to x after the layer, and Q K V of the next one or what the decoder gives."""
    stages, scratch = Stages(), layers.Scratch(7, 8, 9, 10)
    is_last = i + 1 == len(made.layers)
    y = 6 if is_last and not made.has_final_norm else 5
    made.finish(stages, i, 0, layers.Attended(1, 2, 3), 4, scratch, y)
    made.pass_on(stages, i, scratch, y, made=6)
    width = made.width if is_last else made.qkv_width
    return Program(stages, True, [made.width, width], memory, made.scratch_widths())


class WholeStep:
    """All layers in one call. Slots: x, the row, biases of the source and of self-attention; K and V; result; scratch.

    Each layer has four slots for K and V: those of self-attention, then those of the source.
    """

    def __init__(self, made: LayerStages, memory: Memory, tables: int) -> None:
        self._memory, self._depth, self._tables = memory, len(made.layers), tables
        self._stages = stages = Stages()
        self._widths = [*made.scratch_widths(), made.qkv_width, made.width, made.width, made.inner]
        of_layers = 3 + tables
        result = of_layers + 4 * self._depth
        context, total, hidden, residual, qkv, between, below, q = range(result + 1, result + 9)
        scratch, x = layers.Scratch(context, total, hidden, residual), 0
        made.start(stages, x, qkv)
        for i in range(self._depth):
            k, bias = of_layers + 4 * i, 3 + min(i, tables - 1)
            is_last = i + 1 == self._depth
            y = result if is_last and not made.has_final_norm else below
            made.attend(stages, i, qkv, layers.Attended(k, k + 1, bias, row=1), x, scratch, between, q)
            made.finish(stages, i, q, layers.Attended(k + 2, k + 3, 2), between, scratch, y)
            made.pass_on(stages, i, scratch, y, result if is_last else qkv)
            x = y
        self._of: Attended | None = None
        self._is_taken = False

    def takes(self, attended: Attended) -> bool:
        """Whether all stores and sources of a batch allow one call."""
        if self._of is not attended:
            self._of = attended
            self._is_taken = all(isinstance(store, Placing) for store in attended.stores) and all(
                isinstance(source, Kept) for source in attended.sources
            )
        return self._is_taken

    def __call__(self, x_XD: Tensor, step: Step, attended: Attended, biases: Sequence[Tensor | None]) -> Tensor:
        """Run all layers and the norm at the end, [X, D] -> [X, D]; the step's K and V are written to the buffers."""
        rows, source_bias = x_XD.shape[0], attended.source_bias
        x_XD = x_XD.contiguous()
        made_XD, sizes, held = torch.empty_like(x_XD), list[int](), list[int]()
        row_1 = step.position_1
        for store, source in zip(attended.stores, attended.sources, strict=True):
            k_BGCK, v_BGCK, row_1 = store.place(step)  # type: ignore[attr-defined]
            cross_k, cross_v = source.kept()  # type: ignore[attr-defined]
            sizes += attention_sizes(rows, 1, step.keys, k_BGCK, v_BGCK, biases[min(len(held) // 4, self._tables - 1)])
            batch = cross_k.shape[0]
            sizes += attention_sizes(batch, rows // batch, cross_k.shape[2], cross_k, cross_v, source_bias)
            held += k_BGCK.data_ptr(), v_BGCK.data_ptr(), cross_k.data_ptr(), cross_v.data_ptr()
        addresses = [0 if bias is None else bias.data_ptr() for bias in (source_bias, *biases)]
        addresses += [0] * (self._tables + 1 - len(addresses))
        slots = [x_XD.data_ptr(), row_1.data_ptr(), *addresses, *held, made_XD.data_ptr()]
        self._stages.run(slots + self._memory.addresses(rows, self._widths), sizes, rows)
        return made_XD
