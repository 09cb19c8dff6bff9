"""The layers of an encoder as native code, one call for each layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from ...blocks import EncoderLayer
from ...encoder_decoder import Encoder
from .layers import Packed
from .program import Memory, Operator, rows_given
from .stages import Rows, Stages


class NativeEncoder:
    """What takes the place of ``Encoder.run_layers``. A copy of the model shares it."""

    def __init__(self, encoder: Encoder, packed: Packed, memory: Memory) -> None:
        """``packed`` gives panels by module."""
        self._memory = memory
        final = [nn.Identity()] * (len(encoder.layers) - 1) + [encoder.final_norm]
        layers = [cast(EncoderLayer, layer) for layer in encoder.layers]
        self._layers = [_Layer(layer, norm, packed, memory) for layer, norm in zip(layers, final, strict=True)]

    def __deepcopy__(self, memo: object) -> NativeEncoder:
        return self

    def __call__(self, encoder: Encoder, x_BSD: Tensor, source_bias: Tensor | None) -> Tensor:
        """Run all layers and the norm at the end, [B, S, D] -> [B, S, D].

        Compiled code goes through the model's own modules, and so does all where torch's attention was asked for.
        """
        first = cast(EncoderLayer, encoder.layers[0])
        if torch.compiler.is_compiling() or not first.self_attn.may_write_out:
            return Encoder.run_layers(encoder, x_BSD, source_bias)
        bias = None
        for i, layer in enumerate(self._layers):
            if encoder.has_bias(i):
                bias = None  # frees that of the layer before
                bias = encoder.score_bias(i, x_BSD.shape[1], source_bias)
            x_BSD = layer.apply(x_BSD, bias)
        self._memory.trim()
        return x_BSD


class _Layer(Operator):
    """One layer. Slots: x, bias, Q, K and V in their packed product, the result, rows in between."""

    def __init__(self, layer: EncoderLayer, final_norm: nn.Module, packed: Packed, memory: Memory) -> None:
        attention, network = layer.self_attn, layer.ffn
        (qkv,), (out,), wi, (wo,) = (packed(part) for part in (attention.qkv, attention.out, network.wi, network.wo))
        super().__init__(True, [out.outputs])
        self._memory, self._stages = memory, Stages()
        self._inner, self._kv_inner, self._head_size = (
            out.inner,
            attention.kv_heads * attention.head_size,
            attention.head_size,
        )
        self._between = [qkv.outputs, out.inner, out.outputs, out.outputs, wo.inner, out.outputs]
        self._sizes = [0]
        x, of_qkv, y = Rows(0, out.outputs), Rows(2, qkv.outputs), Rows(5, out.outputs)
        context, total, attended, hidden, below = (Rows(6 + i, width) for i, width in enumerate(self._between[1:]))
        norm_first = layer.self_residual.norm_first
        ends = not isinstance(final_norm, nn.Identity)
        made = below if ends else y
        stages = self._stages
        stages.product(x, qkv, of_qkv, norm=layer.self_residual.norm if norm_first else None)
        stages.attention(
            of_qkv, 3, 4, 1, context.slot, attention.kv_heads, attention.group, attention.head_size, attention.scale
        )
        stages.product(context, out, total, residual=x)
        for part, panels in enumerate(wi):  # of a gated network, the second multiplies the activation of the first
            stages.product(
                total,
                panels,
                hidden,
                norm=layer.ffn_residual.norm if norm_first else layer.self_residual.norm,
                normed=-1 if norm_first or part > 0 else attended.slot,
                activation=network.kind if part == 0 else None,
                multiplies=part > 0,
                waits=part == 0,
            )
        if norm_first:
            stages.product(hidden, wo, made, residual=total)
        else:
            stages.product(hidden, wo, total, residual=attended)
            stages.norm(total, layer.ffn_residual.norm, made.slot)
        if ends:
            stages.norm(made, final_norm, y.slot)

    def apply(self, x_BSD: Tensor, bias: Tensor | None) -> Tensor:
        """Run the layer, [B, S, D] -> [B, S, D]; ``bias`` broadcasts to [B, G, H / G * S, S]."""
        batch, length, _ = x_BSD.shape
        width = self._between[0]
        strides = [length * width, self._head_size, width]
        with self._memory.lock:
            self._sizes = [
                batch,
                1,
                length,
                *strides,
                *strides,
                *self._stages.bias_strides(batch, length, length, bias),
            ]
            (y_XD,) = self([bias, x_BSD.flatten(0, 1)])
        return y_XD.view_as(x_BSD)

    def run(self, given: Sequence[Tensor | None]) -> list[Tensor]:
        """Run the stages on the bias and the rows of x, with the sizes that were noted last."""
        bias, x = given
        x_XD = rows_given(x, self._widths[0]).contiguous()
        made_XD, rows = torch.empty_like(x_XD), x_XD.shape[0]
        qkv, *between = self._memory.addresses(rows, self._between)
        k = qkv + 4 * self._inner
        slots = [x_XD.data_ptr(), 0 if bias is None else bias.data_ptr(), qkv, k, k + 4 * self._kv_inner]
        self._stages.run([*slots, made_XD.data_ptr(), *between], self._sizes, rows)
        return [made_XD]
