"""The stages of a decoder layer in a step of one row per sequence.

    start       norm; Q, K and V of the first layer
    attend      self-attention, its output, residual sum, norm, Q of cross-attention
    finish      cross-attention, its output, residual sum, norm, feed-forward network, residual sum
    pass_on     norm; Q, K and V of the layer that follows, or the norm at the end

Where norms come after the sums, what a sum is normed to is the residual of the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

from torch import nn

from ...attention import CrossAttention, SelfAttention
from ...blocks import DecoderLayer
from ...encoder_decoder import Decoder
from .panels import Panels
from .stages import Rows, Stages

Packed = Callable[[nn.Module], Sequence[Panels]]
"""The weight of a module's product in panels; that of a gated network in two parts, gate and linear."""


@dataclass(frozen=True)
class Attended:
    """Slots of K, V and the bias of an attention; ``row`` is that of the place of this step's own K and V, or -1."""

    k: int
    v: int
    bias: int
    row: int = -1


@dataclass(frozen=True)
class Scratch:
    """Slots of rows that only a layer itself reads."""

    context: int
    total: int
    hidden: int
    residual: int


class LayerStages:
    """Adds the stages of a decoder's layers to a list of stages."""

    def __init__(self, decoder: Decoder, packed: Packed) -> None:
        self._layers = [cast(DecoderLayer, layer) for layer in decoder.layers]
        self.depth = len(self._layers)
        self._packed, self._final_norm = packed, decoder.final_norm
        first = self._layers[0]
        self.width, self.qkv_width = first.self_attn.out.out_features, first.self_attn.qkv.out_features
        self.inner, self.hidden_width = first.self_attn.out.in_features, first.ffn.wo.in_features
        self._norm_first = first.self_residual.norm_first

    def scratch_widths(self) -> list[int]:
        """Widths of the rows of a ``Scratch``, in its order."""
        return [self.inner, self.width, self.hidden_width, self.width]

    @property
    def has_final_norm(self) -> bool:
        """Whether the decoder has a norm at the end. Without one, the last layer's y is what the decoder gives."""
        return not isinstance(self._final_norm, nn.Identity)

    def start(self, stages: Stages, x: int, qkv: int) -> None:
        """From x to Q, K and V of the first layer."""
        (panels,) = self._packed(self._layers[0].self_attn.qkv)
        norm = self._layers[0].self_residual.norm if self._norm_first else None
        stages.product(Rows(x, self.width), panels, Rows(qkv, self.qkv_width), norm=norm)

    def attend(self, stages: Stages, i: int, qkv: int, of: Attended, x: int, scratch: Scratch, y: int, q: int) -> None:
        """From Q, K and V and the rows x to y, after self-attention, and to Q of cross-attention."""
        layer, total = self._layers[i], Rows(scratch.total, self.width)
        (out,), (of_q,) = self._packed(layer.self_attn.out), self._packed(layer.cross_attn.q)
        context = self._attention(stages, layer.self_attn, Rows(qkv, self.qkv_width), of, scratch)
        queries = Rows(q, self.inner)
        if self._norm_first:
            stages.product(context, out, Rows(y, self.width), residual=Rows(x, self.width))
            stages.product(Rows(y, self.width), of_q, queries, norm=layer.cross_residual.norm)
        else:
            stages.product(context, out, total, residual=Rows(x, self.width))
            stages.product(total, of_q, queries, norm=layer.self_residual.norm, normed=y)

    def finish(self, stages: Stages, i: int, q: int, of: Attended, x: int, scratch: Scratch, y: int) -> None:
        """From Q of cross-attention and the rows x to y, or to what is yet to be normed to y (``pass_on``)."""
        layer, total = self._layers[i], Rows(scratch.total, self.width)
        (out,), wi, (wo,) = (self._packed(part) for part in (layer.cross_attn.out, layer.ffn.wi, layer.ffn.wo))
        context = self._attention(stages, layer.cross_attn, Rows(q, self.inner), of, scratch)
        hidden, residual = Rows(scratch.hidden, self.hidden_width), Rows(scratch.residual, self.width)
        stages.product(context, out, total, residual=Rows(x, self.width))
        for part, panels in enumerate(wi):  # of a gated network, the second multiplies the activation of the first
            stages.product(
                total,
                panels,
                hidden,
                norm=layer.ffn_residual.norm if self._norm_first else layer.cross_residual.norm,
                normed=-1 if self._norm_first or part > 0 else residual.slot,
                activation=layer.ffn.kind if part == 0 else None,
                multiplies=part > 0,
                waits=part == 0,
            )
        if self._norm_first:
            stages.product(hidden, wo, Rows(y, self.width), residual=total)
        else:
            stages.product(hidden, wo, total, residual=residual)

    def pass_on(self, stages: Stages, i: int, scratch: Scratch, y: int, made: int) -> None:
        """From what layer i made to y and, in ``made``, Q, K and V of the next layer or what the decoder gives."""
        layer, total = self._layers[i], Rows(scratch.total, self.width)
        x = Rows(y, self.width) if self._norm_first else total
        if i + 1 < self.depth:
            following = self._layers[i + 1]
            (panels,) = self._packed(following.self_attn.qkv)
            norm = following.self_residual.norm if self._norm_first else layer.ffn_residual.norm
            normed = -1 if self._norm_first else y
            stages.product(x, panels, Rows(made, self.qkv_width), norm=norm, normed=normed)
            return
        if not self._norm_first:
            stages.norm(total, layer.ffn_residual.norm, y)
        if y != made:
            stages.norm(Rows(y, self.width), self._final_norm, made)

    def _attention(
        self, stages: Stages, attention: SelfAttention | CrossAttention, q: Rows, of: Attended, scratch: Scratch
    ) -> Rows:
        stages.attention(
            q, of.k, of.v, of.bias, scratch.context, attention.kv_heads, attention.group, attention.head_size,
            attention.scale, of.row,
        )  # fmt: skip
        return Rows(scratch.context, self.inner)
