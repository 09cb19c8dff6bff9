"""The one model that every strategy shares: an encoder, a decoder, and a head, with two ways through the decoder.

``EncoderDecoder.forward`` is the teacher-forced pass (training: all target rows at once under a causal mask).
``Decoder.forward`` computes whichever rows a decoding session feeds it, against whatever its stores return.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from .attention import CrossProjection, group_bias
from .blocks import DecoderLayer, EncoderLayer
from .config import ModelConfig
from .layers import RowDropout, make_norm
from .positions import DistanceTable, RelativeBias, aligned_rows, sinusoids_ND
from .stores import CachedCross, CrossKV, CrossProject, PassThrough, Reordering, SelfKV, Step


class _Stack(nn.Module):
    """What encoder and decoder have in common: the scaled embedding, positions, dropout and T5's final norm."""

    relative_bias: RelativeBias | None

    def __init__(self, config: ModelConfig, embedding: nn.Embedding, bidirectional: bool) -> None:
        super().__init__()
        self.embedding = embedding
        self.embedding_scale = None if config.is_t5 else math.sqrt(config.d_model)
        self.relative_bias = RelativeBias(config, bidirectional) if config.is_t5 else None
        self.final_norm = make_norm(config) if config.is_t5 else nn.Identity()
        self.dropout = RowDropout(config.dropout)
        self.width = config.d_model
        self.group = config.group

    def sinusoids(self, length: int) -> Tensor | None:
        """Position codes for ``length`` rows in the embedding's dtype, or None where positions are relative."""
        if self.embedding_scale is None:
            return None
        weight = self.embedding.weight
        return sinusoids_ND(length, self.width, weight.device).to(weight.dtype)

    def embed(self, token_BT: Tensor, position_TD: Tensor | None) -> Tensor:
        """Embed token ids, [B, T] -> [B, T, D]; ``position_TD`` is added after the 2017 paper's scaling."""
        x_BTD = self.embedding(token_BT)
        if self.embedding_scale is not None:
            x_BTD = x_BTD * self.embedding_scale + position_TD
        return self.dropout(x_BTD)


class Encoder(_Stack):
    """The encoder, which reads the whole source at once."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__(config, embedding, bidirectional=True)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(self, src_BS: Tensor, source_bias: Tensor | None) -> Tensor:
        """Encode token ids, [B, S] -> memory [B, S, D]; ``source_bias`` masks padding, [B, 1, 1, S] or None."""
        bias = self._score_bias(src_BS.shape[1], source_bias)
        x_BSD = self.embed(src_BS, self.sinusoids(src_BS.shape[1]))
        for layer in self.layers:
            x_BSD = layer(x_BSD, bias)
        return self.dropout(self.final_norm(x_BSD))

    def _score_bias(self, length: int, source_bias: Tensor | None) -> Tensor | None:
        """Relative positions and padding as one additive bias for all layers, or None.

        Its rows are dense, and aligned on CUDA, because kernels copy a bias that is not laid out so.
        """
        bias = source_bias
        if self.relative_bias is not None:
            bias = self.relative_bias.square_HSS(length)[None]
            if source_bias is not None:
                # Clamped, because float16's minimum plus a negative bias would be -inf.
                bias = (bias + source_bias).clamp_(min=torch.finfo(bias.dtype).min)
        if bias is None:
            return None
        return aligned_rows(bias) if self.group == 1 else group_bias(bias, self.group)


class DecoderTables:
    """Tables that a session prepares once, at set-up, and the decoder reads at each step."""

    def __init__(self, decoder: Decoder, queries: int, keys: int) -> None:
        weight = decoder.embedding.weight
        self.distance = DistanceTable(decoder.relative_bias, queries, keys, weight.dtype, weight.device)
        self.sinusoids_ND = decoder.sinusoids(queries)


@dataclass(frozen=True)
class Attended:
    """What the decoder's rows attend to, and the tables that this needs.

    ``stores`` and ``sources`` hold one item per layer. ``source_bias`` masks padding of the sources, [B, 1, 1, S] or
    None.
    """

    stores: Sequence[SelfKV]
    sources: Sequence[CrossKV]
    tables: DecoderTables
    source_bias: Tensor | None


class _Once:
    """A change of tensors that is made once where one layer after another keeps the same tensor."""

    def __init__(self, change: Callable[[Tensor], Tensor]) -> None:
        self._change = change
        self._last: tuple[Tensor, Tensor] | None = None

    def __call__(self, kept: Tensor) -> Tensor:
        if self._last is None or self._last[0] is not kept:
            self._last = None  # frees the tensor before
            self._last = kept, self._change(kept)
        return self._last[1]


class Decoder(_Stack):
    """The decoder, which computes T rows of the target against the keys that the stores return."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__(config, embedding, bidirectional=False)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))

    def forward(self, token_BT: Tensor, step: Step, attended: Attended) -> Tensor:
        """Compute the hidden rows of token ids, [B, T] -> [B, T, D].

        The score bias is looked up once for all layers. A single row needs no mask if its store returns past keys only;
        without relative positions it then needs no bias at all.
        """
        stores, tables = attended.stores, attended.tables
        query_position_T = step.query_position_T()
        bias = None
        if tables.distance.relative or step.rows > 1 or not stores[0].past_only:
            bias_1HTM = tables.distance(query_position_T, stores[0].key_position_M(step))
            bias = bias_1HTM if self.group == 1 else group_bias(bias_1HTM, self.group)
        position_TD = None if tables.sinusoids_ND is None else tables.sinusoids_ND[query_position_T]
        x_BTD = self.embed(token_BT, position_TD)
        for layer, store, source in zip(self.layers, stores, attended.sources, strict=True):
            x_BTD = layer(x_BTD, step, store, source, bias, attended.source_bias)
        return self.dropout(self.final_norm(x_BTD))

    def select(self, attended: Attended, parent_B: Tensor, step: Step, cross: bool) -> None:
        """Let each sequence go on from the sequence ``parent_B``, int64 [B], of its sentence, before ``step``.

        The stores are reordered, which must be ``Reordering``, and with ``cross`` what is kept of the sources too.
        """
        reordered = _Once(lambda kept: kept.index_select(0, parent_B))
        for module, store, source in zip(self.layers, attended.stores, attended.sources, strict=True):
            layer = cast(DecoderLayer, module)
            layer.self_attn.select(cast(Reordering, store), parent_B, step)
            if cross:
                layer.cross_attn.select(source, reordered)

    def attend_to(
        self, memory_BSD: Tensor, make: Callable[[CrossProject, Tensor], CrossKV], beams: int = 1
    ) -> list[CrossKV]:
        """Cross-attention K/V of each layer, made by ``make`` from the layer's projection and the encoder's output.

        With ``beams`` what is kept is repeated: each sequence of a sentence has its own.
        """
        attentions = [cast(DecoderLayer, layer).cross_attn for layer in self.layers]
        repeated, sources = _Once(lambda kept: kept.repeat_interleave(beams, 0)), []
        for attention in attentions:
            source = make(CrossProjection(attention), memory_BSD)
            if beams > 1:
                source.map(repeated)
            sources.append(source)
        return sources


class Head(nn.Module):
    """The LM head, from hidden rows to logits. It is a module even if it is tied, so that its product has a name.

    T5 v1.0 scales hidden states by D**-0.5 before its tied head; v1.1, which is untied, does not.
    """

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__()
        self.scale = config.d_model**-0.5 if config.is_t5 and config.scale_head else None
        self.weight = embedding.weight if config.tie_head else nn.Parameter(torch.empty_like(embedding.weight))

    def forward(self, x_XD: Tensor) -> Tensor:
        """Compute logits, [..., D] -> [..., V]."""
        if self.scale is not None:
            x_XD = x_XD * self.scale
        return self.project(x_XD)

    def project(self, x_XD: Tensor) -> Tensor:
        """The matrix product alone, which another kernel may replace (``kernels/packing.py``)."""
        return nn.functional.linear(x_XD, self.weight)


class EncoderDecoder(nn.Module):
    """The shared model. See ``ModelConfig`` for the two architectures."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        self.encoder = Encoder(config, self.embedding)
        self.decoder = Decoder(config, self.embedding)
        self.lm_head = Head(config, self.embedding)

    def source_bias(self, src_mask_BS: Tensor | None) -> Tensor | None:
        """Additive mask of padding, [B, 1, 1, S] in the model's dtype; None where every source is full."""
        if src_mask_BS is None:
            return None
        dtype = self.embedding.weight.dtype
        bias_BS = torch.zeros(src_mask_BS.shape, dtype=dtype, device=src_mask_BS.device)
        return aligned_rows(bias_BS.masked_fill_(~src_mask_BS, torch.finfo(dtype).min)[:, None, None, :])

    def forward(self, src_BS: Tensor, src_mask_BS: Tensor | None, token_BN: Tensor) -> Tensor:
        """Compute the logits [B, N, V] of all N target rows at once (teacher forcing).

        ``src_mask_BS`` is bool, True at real tokens; ``token_BN`` is the decoder's input, start token first.
        """
        bias = self.source_bias(src_mask_BS)
        memory_BSD = self.encoder(src_BS, bias)
        rows = token_BN.shape[1]
        step = Step(rows, rows, rows, torch.tensor([rows - 1], device=token_BN.device))
        sources = self.decoder.attend_to(memory_BSD, CachedCross)
        tables = DecoderTables(self.decoder, rows, rows)
        x_BND = self.decoder(token_BN, step, Attended([PassThrough()] * len(sources), sources, tables, bias))
        return self.lm_head(x_BND)
