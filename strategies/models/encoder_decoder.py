"""The one model that every strategy shares: an encoder, a decoder, and a head, with two ways through the decoder.

``EncoderDecoder.forward`` is the teacher-forced pass (training: all target rows at once under a causal mask).
``Decoder.forward`` computes whichever rows a decoding session feeds it, against whatever its stores return.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from .attention import CrossProjection, group_bias
from .blocks import DecoderLayer, EncoderLayer
from .config import ModelConfig
from .front_end import FrontEnd
from .head import Head
from .positions import DistanceTable, RelativeBias, aligned_rows
from .stack import Stack, relative_biases
from .stores import CachedCross, CrossKV, CrossProject, PassThrough, Reordering, SelfKV, Step


class Encoder(Stack):
    """The encoder, which reads the whole source at once: token ids, or features through a ``FrontEnd``."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding | None) -> None:
        """``config`` is that for the encoder (``ModelConfig.for_encoder``)."""
        super().__init__(config, embedding, config.src_positions)
        self.relative_biases = relative_biases(config, config.encoder_layers, bidirectional=True)
        if config.mel_bins is not None:
            self.front_end = FrontEnd(config, config.mel_bins)
        self.layers = nn.ModuleList(EncoderLayer(config) for _ in range(config.encoder_layers))

    def forward(self, source: Tensor, source_bias: Tensor | None, position_SD: Tensor | None = None) -> Tensor:
        """Encode token ids [B, S] or features [B, mel, 2 S] -> memory [B, S, D].

        ``source_bias`` masks padding, [B, 1, 1, S] or None. ``position_SD`` is ``position_table(S)``, if the caller has
        it; it is made here otherwise.
        """
        return self.dropout(self.run_layers(self, self._rows(source, position_SD), source_bias))

    @staticmethod
    def run_layers(encoder: Encoder, x_BSD: Tensor, source_bias: Tensor | None) -> Tensor:
        """Run all layers of an encoder and its norm at the end, [B, S, D] -> [B, S, D].

        Native code may take the place of this function, as of ``Decoder.run_layers``.
        """
        bias = None
        for i, layer in enumerate(encoder.layers):
            if encoder.has_bias(i):
                bias = None  # frees that of the layer before
                bias = encoder.score_bias(i, x_BSD.shape[1], source_bias)
            x_BSD = layer(x_BSD, bias)
        return encoder.final_norm(x_BSD)

    def has_bias(self, layer: int) -> bool:
        """Whether the layer has a bias of its own, which those after it that have none share."""
        return layer == 0 or layer < len(self.relative_biases)

    def _rows(self, source: Tensor, position_SD: Tensor | None) -> Tensor:
        if self.config.mel_bins is None:
            return self.embed(source, self.position_table(source.shape[1]) if position_SD is None else position_SD)
        x_BSD = self.front_end(source)
        position_SD = self.position_table(x_BSD.shape[1]) if position_SD is None else position_SD
        return self.dropout(self.embedding_norm(x_BSD if position_SD is None else x_BSD + position_SD))

    def score_bias(self, layer: int, length: int, source_bias: Tensor | None) -> Tensor | None:
        """Relative positions and padding as one additive bias for a layer, and those after it that have no table.

        Its rows are dense, and aligned on CUDA, because kernels copy a bias that is not laid out so.
        """
        bias = source_bias
        if len(self.relative_biases):
            bias = cast(RelativeBias, self.relative_biases[layer]).square_HSS(length)[None]
            if source_bias is not None:
                # Clamped, because float16's minimum plus a negative bias would be -inf.
                bias = (bias + source_bias).clamp_(min=torch.finfo(bias.dtype).min)
        if bias is None:
            return None
        return aligned_rows(bias) if self.group == 1 else group_bias(bias, self.group)


class DecoderTables:
    """Tables that a session prepares once, at set-up, and the decoder reads at each step.

    ``distances`` holds one table for all layers, or one for each. ``position_ND`` is added to embeddings, or is None.
    """

    def __init__(self, decoder: Decoder, queries: int, keys: int) -> None:
        weight = decoder.embedding.weight
        self.distances = [
            DistanceTable(cast(RelativeBias | None, relative), queries, keys, weight.dtype, weight.device)
            for relative in (decoder.relative_biases or [None])
        ]
        self.position_ND = decoder.position_table(queries)


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


class Decoder(Stack):
    """The decoder, which computes T rows of the target against the keys that the stores return."""

    def __init__(self, config: ModelConfig, embedding: nn.Embedding) -> None:
        super().__init__(config, embedding, config.tgt_positions)
        self.relative_biases = relative_biases(config, config.decoder_layers, bidirectional=False)
        self.layers = nn.ModuleList(DecoderLayer(config) for _ in range(config.decoder_layers))

    def forward(self, token_BT: Tensor, step: Step, attended: Attended) -> Tensor:
        """Compute the hidden rows of token ids, [B, T] -> [B, T, D].

        The score bias is looked up once for all layers, unless each has a table of its own. A single row needs no mask
        if its store returns past keys only; without relative positions it then needs no bias at all.
        """
        stores, tables = attended.stores, attended.tables
        query_position_T = step.query_position_T()
        key_position_M = None
        if tables.distances[0].relative or step.rows > 1 or not stores[0].past_only:
            key_position_M = stores[0].key_position_M(step)
        position_TD = None if tables.position_ND is None else tables.position_ND[query_position_T]
        # The embedded rows have no name here, so that they are freed once the first layer has read them.
        return self.dropout(
            self.run_layers(self, self.embed(token_BT, position_TD), step, attended, query_position_T, key_position_M)
        )

    @staticmethod
    def run_layers(
        decoder: Decoder,
        x_BTD: Tensor,
        step: Step,
        attended: Attended,
        query_position_T: Tensor,
        key_position_M: Tensor | None,
    ) -> Tensor:
        """Run all layers of a decoder and its norm at the end, [B, T, D] -> [B, T, D].

        ``key_position_M`` is None where no bias of scores is needed. Native code may take the place of this function
        (``kernels/native``). It is given the decoder, which therefore does not refer to itself and is freed at once.
        """
        bias = None
        for i, (layer, store, source) in enumerate(zip(decoder.layers, attended.stores, attended.sources, strict=True)):
            if key_position_M is not None and i < len(attended.tables.distances):
                bias = None  # frees that of the layer before
                bias = decoder.score_bias(i, attended.tables, query_position_T, key_position_M)
            x_BTD = layer(x_BTD, step, store, source, bias, attended.source_bias)
        return decoder.final_norm(x_BTD)

    def score_bias(self, table: int, tables: DecoderTables, query_position_T: Tensor, key_position_M: Tensor) -> Tensor:
        """The bias of one table for these queries and keys, laid out for attention."""
        bias = tables.distances[table](query_position_T, key_position_M)
        return bias if self.group == 1 else group_bias(bias, self.group)

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


class EncoderDecoder(nn.Module):
    """The shared model. See ``ModelConfig`` for its options, and ``architectures.py`` for those of published models."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.config = config
        self.embedding = nn.Embedding(config.vocab_size, config.d_model)
        if config.mel_bins is not None:
            of_source = None
        elif config.src_vocab_size is not None:
            of_source = nn.Embedding(config.src_vocab_size, config.d_model)
        else:
            of_source = self.embedding
        self.encoder = Encoder(config.for_encoder, of_source)
        self.decoder = Decoder(config, self.embedding)
        self.lm_head = Head(config, self.embedding)

    def source_bias(self, src_mask_BS: Tensor | None) -> Tensor | None:
        """Additive mask of padding, [B, 1, 1, S] in the model's dtype; None where every source is full."""
        if src_mask_BS is None:
            return None
        dtype = self.embedding.weight.dtype
        bias_BS = torch.zeros(src_mask_BS.shape, dtype=dtype, device=src_mask_BS.device)
        return aligned_rows(bias_BS.masked_fill_(~src_mask_BS, torch.finfo(dtype).min)[:, None, None, :])

    def forward(self, source: Tensor, src_mask_BS: Tensor | None, token_BN: Tensor) -> Tensor:
        """Compute the logits [B, N, V] of all N target rows at once (teacher forcing).

        ``source`` are token ids [B, S] or features [B, mel, 2 S]. ``src_mask_BS`` is bool, True at real tokens.
        ``token_BN`` is the decoder's input, start token first.
        """
        bias = self.source_bias(src_mask_BS)
        memory_BSD = self.encoder(source, bias)
        rows = token_BN.shape[1]
        step = Step(rows, rows, rows, torch.tensor([rows - 1], device=token_BN.device))
        sources = self.decoder.attend_to(memory_BSD, CachedCross)
        tables = DecoderTables(self.decoder, rows, rows)
        x_BND = self.decoder(token_BN, step, Attended([PassThrough()] * len(sources), sources, tables, bias))
        return self.lm_head(x_BND)
