"""The two modules that are converted: ``SourceSide`` once per batch of sentences, ``StepSide`` once per token.

Both run the model's own encoder and decoder, so every option of ``ModelConfig`` means there what it means here. They
take any number of sentences, of positions of the source and of past keys, from none on. A bias by distance is looked up
in a table that ends where all farther distances share a bucket, so it is exact at any length. Sinusoids are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import torch
from torch import Tensor, nn

from strategies import ModelConfig
from strategies.models.attention import CrossAttention, SelfAttention
from strategies.models.encoder_decoder import Attended, DecoderTables, EncoderDecoder
from strategies.models.positions import RelativeBias, sinusoids_at
from strategies.models.stores import CachedCross, Step


class _SquareBias(nn.Module):
    """A ``RelativeBias`` of the encoder, looked up by a number of positions that is not known at conversion."""

    def __init__(self, relative: RelativeBias) -> None:
        super().__init__()
        self.farthest = relative.max_distance
        self.register_buffer("bias_HX", relative(torch.arange(-self.farthest, self.farthest + 1)))

    def square_HSS(self, length: int) -> Tensor:
        """Bias of every pair of S positions, [H, S (query), S (key)]."""
        position_S = torch.arange(length)
        distance_SS = position_S[None, :] - position_S[:, None]
        return cast(Tensor, self.bias_HX)[:, distance_SS.clamp(-self.farthest, self.farthest) + self.farthest]


class SourceSide(nn.Module):
    """Encoder and cross-attention projections: (source, mask_BS) -> K and V of each decoder layer.

    ``source`` is int64 [B, S], or float32 [B, mel, 2 S] for a model of features, which reads no mask. ``mask_BS`` is
    bool, True at real tokens. The result is the tuple (k_0, v_0, k_1, ...), float32 [B, G, S, K] each.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        """Take over ``model``, whose encoder is changed."""
        super().__init__()
        _keep_attention_whole(model)
        encoder = model.encoder
        encoder.relative_biases = nn.ModuleList(
            _SquareBias(cast(RelativeBias, relative)) for relative in encoder.relative_biases
        )
        self.model = model

    def forward(self, source: Tensor, mask_BS: Tensor) -> tuple[Tensor, ...]:
        """Read the source."""
        bias = None
        if self.model.config.mel_bins is None:
            # With a row for each query, which ONNX Runtime's attention wants.
            bias = cast(Tensor, self.model.source_bias(mask_BS)).expand(-1, -1, mask_BS.shape[1], -1)
        memory_BSD = self.model.encoder(source, bias)
        sources = self.model.decoder.attend_to(memory_BSD, CachedCross)
        return tuple(tensor for source in sources for tensor in source.get(memory_BSD, None)[:2])


class _Past:
    """The ``SelfKV`` of one layer at one step: past rows that are given, with the new one behind them."""

    past_only = True

    def __init__(self, k_BGMK: Tensor, v_BGMK: Tensor, farthest: int) -> None:
        self.present = k_BGMK, v_BGMK
        self.farthest = farthest

    def append(self, k_BGTK: Tensor, v_BGTK: Tensor, step: Step) -> tuple[Tensor, Tensor]:
        """Return all rows, by concatenation."""
        self.present = torch.cat((self.present[0], k_BGTK), 2), torch.cat((self.present[1], v_BGTK), 2)
        return self.present

    def key_position_M(self, step: Step) -> Tensor:
        """Positions of all rows, int64 [M + 1]; those of rows farther than ``farthest`` are moved up to it."""
        past = self.present[0].shape[2]
        return torch.arange(past + 1).clamp(min=past - self.farthest)

    def reset(self) -> None:
        """Do nothing: it lasts for one step."""

    def nbytes(self, length: int) -> tuple[int, int]:
        """0 and 0, because nothing persists."""
        return 0, 0


class _Sinusoids:
    """Stands for a table of positions without end, of which the rows that are read are computed."""

    def __init__(self, config: ModelConfig) -> None:
        self._config = config

    def __getitem__(self, position_T: Tensor) -> Tensor:
        return sinusoids_at(self._config, position_T)


class StepSide(nn.Module):
    """One step of the decoder: (token_B1, mask_BS, cross, past) -> (logits_BV, k_0, v_0, k_1, ...).

    ``cross`` is the result of ``SourceSide``. ``past`` are K and V of each layer in the same order, float32 [B, G, M,
    K], and those that are returned have M + 1 rows. The row that is computed has the position M. ``token_B1`` is int64.
    """

    def __init__(self, model: EncoderDecoder) -> None:
        super().__init__()
        _keep_attention_whole(model)
        config = model.config
        self.model = model
        self.farthest = config.relative_max_distance
        rows = (config.tgt_positions or 1) if config.positions == "learned" else self.farthest + 1
        self.tables = DecoderTables(model.decoder, rows, 1)
        if config.positions == "sinusoidal":
            self.tables.position_ND = cast(Tensor, _Sinusoids(config))

    def forward(
        self, token_B1: Tensor, mask_BS: Tensor, cross: Sequence[Tensor], past: Sequence[Tensor]
    ) -> tuple[Tensor, ...]:
        """Decode one row of each sentence."""
        model = self.model
        stores = [_Past(k_BGMK, v_BGMK, self.farthest) for k_BGMK, v_BGMK in zip(past[::2], past[1::2], strict=True)]
        sources = [_Given(k_BGSK, v_BGSK) for k_BGSK, v_BGSK in zip(cross[::2], cross[1::2], strict=True)]
        bias = None if model.config.mel_bins is not None else model.source_bias(mask_BS)
        held = past[0].shape[2]
        step = Step(1, 1, 1, torch.arange(held, held + 1))
        x_B1D = model.decoder(token_B1, step, Attended(stores, sources, self.tables, bias))
        present = [tensor for store in stores for tensor in store.present]
        return (model.lm_head(x_B1D[:, 0]), *present)


class _Given(CachedCross):
    """The ``CrossKV`` of one layer, from K and V that were projected before."""

    def __init__(self, k_BGSK: Tensor, v_BGSK: Tensor) -> None:
        self._kv = k_BGSK, v_BGSK


def _keep_attention_whole(model: EncoderDecoder) -> None:
    """Keep attention one operation, which runtimes know, where torch's own compiler would have it written out."""
    for module in model.modules():
        if isinstance(module, SelfAttention | CrossAttention):
            module.may_write_out = False
