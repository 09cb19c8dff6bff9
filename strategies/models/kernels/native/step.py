"""The layers of a decode step as native code, in one call or in two for each layer.

One call runs all layers where stores and sources allow it (``whole``). Where one of them has more to do,
``SelfAttention.append`` and ``CrossAttention.read`` are called between two calls of native code, as in the model
itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor

from ...blocks import DecoderLayer
from ...encoder_decoder import Attended, Decoder
from ...stores import Step
from . import layers
from .layers import LayerStages, Packed
from .program import Memory, Program
from .stages import Stages
from .whole import WholeStep


class NativeLayers:
    """What takes the place of ``Decoder.run_layers`` in steps of one row per sequence.

    A copy of the model shares it, as it shares the products with packed weights.
    """

    def __init__(self, decoder: Decoder, packed: Packed, memory: Memory, loops: bool) -> None:
        """``packed`` gives panels by module. ``loops``: compiled steps go through the model's own modules."""
        self._loops = loops
        made = LayerStages(decoder, packed)
        self._start = _start(made, memory)
        self._before = [_before(made, memory, i) for i in range(made.depth)]
        self._after = [_after(made, memory, i) for i in range(made.depth)]
        self._whole = WholeStep(made, memory, len(decoder.relative_biases) or 1)

    def __deepcopy__(self, memo: object) -> NativeLayers:
        return self

    def __call__(
        self,
        decoder: Decoder,
        x_BTD: Tensor,
        step: Step,
        attended: Attended,
        query_position_T: Tensor,
        key_position_M: Tensor | None,
    ) -> Tensor:
        """Run all layers and the norm at the end, [X, 1, D] -> [X, 1, D].

        More rows per sequence go through the model's own modules, and so do all where torch's attention was asked for.
        """
        first = cast(DecoderLayer, decoder.layers[0])
        if step.rows > 1 or (self._loops and torch.compiler.is_compiling()) or not first.self_attn.may_write_out:
            return Decoder.run_layers(decoder, x_BTD, step, attended, query_position_T, key_position_M)
        biases: list[Tensor | None] = [None]
        if key_position_M is not None:
            tables = range(len(attended.tables.distances))
            biases = [decoder.score_bias(i, attended.tables, query_position_T, key_position_M) for i in tables]
        made_BTD = self._whole.step(x_BTD, step, attended, biases)
        if made_BTD is not None:
            return made_BTD
        return self._by_layers(decoder, x_BTD.squeeze(1), step, attended, biases).unsqueeze(1)

    def _by_layers(
        self, decoder: Decoder, x_XD: Tensor, step: Step, attended: Attended, biases: Sequence[Tensor | None]
    ) -> Tensor:
        (made,) = self._start([x_XD])
        for i, module in enumerate(decoder.layers):
            layer = cast(DecoderLayer, module)
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
    return Program(stages, False, made.width, [made.qkv_width], memory, [])


def _before(made: LayerStages, memory: Memory, i: int) -> Program:
    """From Q K V, K, V, bias and x to x after self-attention, and Q of cross-attention."""
    stages = Stages()
    made.attend(stages, i, 0, layers.Attended(1, 2, 3), 4, layers.Scratch(7, 8, 9, 10), y=5, q=6)
    return Program(stages, True, made.width, [made.width, made.inner], memory, made.scratch_widths())


def _after(made: LayerStages, memory: Memory, i: int) -> Program:
    """From Q, K, V, bias and x to x after the layer, and Q K V of the next one or what the decoder gives."""
    stages, scratch = Stages(), layers.Scratch(7, 8, 9, 10)
    is_last = i + 1 == made.depth
    y = 6 if is_last and not made.has_final_norm else 5
    made.finish(stages, i, 0, layers.Attended(1, 2, 3), 4, scratch, y)
    made.pass_on(stages, i, scratch, y, made=6)
    width = made.width if is_last else made.qkv_width
    return Program(stages, True, made.width, [made.width, width], memory, made.scratch_widths())
