"""The layers of a decode step as two calls of native code each, between which stores take and give K and V.

    start           norm, Q K V of the first layer
    layer, before   self-attention, its output, residual sum, norm, Q of cross-attention
    layer, after    cross-attention, its output, residual sum, norm, feed-forward network, residual sum, and the start
                    of the next layer

Between them ``SelfAttention.append`` and ``CrossAttention.read`` are called as in the model itself.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ...attention import CrossAttention, SelfAttention
from ...blocks import DecoderLayer
from ...encoder_decoder import Attended, Decoder
from ...stores import Step
from .panels import Panels
from .program import Program, Scratch
from .stages import Rows, Stages

Packed = Callable[[nn.Module], Sequence[Panels]]
"""The weight of a module's product in panels; that of a gated network in two parts, gate and linear."""


class NativeLayers:
    """What takes the place of ``Decoder.run_layers`` in steps of one row per sequence."""

    def __init__(self, decoder: Decoder, packed: Packed, scratch: Scratch, loops: bool) -> None:
        """``packed`` gives panels by module. ``loops``: compiled steps go through the model's own modules."""
        self._decoder, self._loops = decoder, loops
        self._layers = layers = [cast(DecoderLayer, layer) for layer in decoder.layers]
        made = _Programs(packed, scratch)
        self._start = made.start(layers[0])
        self._before = [made.before(layer) for layer in layers]
        self._after = [made.after(*pair) for pair in zip(layers, [*layers[1:], None], strict=True)]

    def __call__(
        self, x_BTD: Tensor, step: Step, attended: Attended, query_position_T: Tensor, key_position_M: Tensor | None
    ) -> Tensor:
        """Run all layers, [X, 1, D] -> [X, 1, D]; more rows per sequence go through the model's own modules."""
        others = self._loops and torch.compiler.is_compiling()
        if step.rows > 1 or others or not self._layers[0].self_attn.may_write_out:
            return Decoder.run_layers(self._decoder, x_BTD, step, attended, query_position_T, key_position_M)
        x_XD, bias = x_BTD.flatten(0, 1), None
        qkv_XP = self._start([x_XD])[0]
        for i, layer in enumerate(self._layers):
            attention, cross = layer.self_attn, layer.cross_attn
            if key_position_M is not None and i < len(attended.tables.distances):
                bias = self._decoder.score_bias(i, attended.tables, query_position_T, key_position_M)
            _, k_BGTK, v_BGTK = attention.split(qkv_XP[:, None])
            k_BGMK, v_BGMK = attention.append(attended.stores[i], k_BGTK, v_BGTK, step)
            x_XD, q_XI = self._before[i]([qkv_XP, k_BGMK, v_BGMK, bias, x_XD])
            q_BHTK = cross.split(q_XI[:, None])
            read = cross.read(attended.sources[i], q_BHTK, attended.source_bias)
            x_XD, *more = self._after[i]([q_XI, *read, x_XD])
            qkv_XP = more[0] if more else qkv_XP
        return x_XD[:, None]


class _Programs:
    """Makes the programs of a model. Where norms come after the sum, what a sum is normed to is the next residual."""

    def __init__(self, packed: Packed, scratch: Scratch) -> None:
        self._packed, self._scratch = packed, scratch

    def start(self, layer: DecoderLayer) -> Program:
        """From x, [X, D], to Q, K and V of the layer."""
        (qkv,) = self._packed(layer.self_attn.qkv)
        stages, residual = Stages(), layer.self_residual
        norm = residual.norm if residual.norm_first else None
        stages.product(Rows(0, qkv.inner), qkv, Rows(1, qkv.outputs), norm=norm)
        return Program(stages, False, [qkv.outputs], self._scratch, [])

    def before(self, layer: DecoderLayer) -> Program:
        """From Q K V, K, V, bias and x to x after self-attention, and Q of cross-attention."""
        (out,), (q,) = self._packed(layer.self_attn.out), self._packed(layer.cross_attn.q)
        stages, width = Stages(), out.outputs
        x, y, context, total = Rows(4, width), Rows(5, width), Rows(7, out.inner), Rows(8, width)
        _attend(stages, layer.self_attn, Rows(0, layer.self_attn.qkv.out_features), context)
        if layer.self_residual.norm_first:
            stages.product(context, out, y, residual=x)
            stages.product(y, q, Rows(6, q.outputs), norm=layer.cross_residual.norm)
        else:
            stages.product(context, out, total, residual=x)
            stages.product(total, q, Rows(6, q.outputs), norm=layer.self_residual.norm, normed=y.slot)
        return Program(stages, True, [width, q.outputs], self._scratch, [out.inner, width])

    def after(self, layer: DecoderLayer, following: DecoderLayer | None) -> Program:
        """From Q, K, V, bias and x to x after the layer, and Q K V of the one that follows."""
        (out,), wi, (wo,) = (self._packed(part) for part in (layer.cross_attn.out, layer.ffn.wi, layer.ffn.wo))
        qkv = None if following is None else self._packed(following.self_attn.qkv)[0]
        widths = [out.outputs, *([qkv.outputs] if qkv else [])]
        made = 5 + len(widths)
        x, y, of_next = Rows(4, out.outputs), Rows(5, out.outputs), Rows(6, qkv.outputs if qkv else 0)
        context, total, hidden, more = (
            Rows(made + i, width) for i, width in enumerate((out.inner, out.outputs, wo.inner, out.outputs))
        )
        stages, first = Stages(), layer.cross_residual.norm_first
        _attend(stages, layer.cross_attn, Rows(0, layer.cross_attn.q.out_features), context)
        stages.product(context, out, total, residual=x)
        norm = layer.ffn_residual.norm if first else layer.cross_residual.norm
        for i, part in enumerate(wi):  # of a gated network, the second multiplies the activation of the first
            act = layer.ffn.kind if i == 0 else None
            normed = -1 if first or i > 0 else more.slot
            stages.product(
                total, part, hidden, norm=norm, normed=normed, activation=act, multiplies=i > 0, waits=i == 0
            )
        if first:
            stages.product(hidden, wo, y, residual=total)
            if qkv and following:
                stages.product(y, qkv, of_next, norm=following.self_residual.norm)
        else:
            stages.product(hidden, wo, total, residual=more)
            if qkv:
                stages.product(total, qkv, of_next, norm=layer.ffn_residual.norm, normed=y.slot)
            else:
                stages.norm(total, layer.ffn_residual.norm, y.slot)
        return Program(stages, True, widths, self._scratch, [out.inner, out.outputs, wo.inner, out.outputs])


def _attend(stages: Stages, attention: SelfAttention | CrossAttention, q: Rows, context: Rows) -> None:
    stages.attention(
        q, 1, 2, 3, context.slot, attention.kv_heads, attention.group, attention.head_size, attention.scale
    )
