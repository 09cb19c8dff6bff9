"""One decoding session: a model, a strategy and buffers for one shape. The same class for every strategy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .models.encoder_decoder import DecoderTables, EncoderDecoder
from .models.stores import CachedCross, CrossKV, KVShape, RecomputedCross, Step
from .strategy import Strategy, StrategyError


@dataclass(frozen=True)
class KVBytes:
    """Bytes of K/V that persist between steps: self-attention's reserved and used, and cross-attention's."""

    self_reserved: int
    self_used: int
    cross: int

    @property
    def reserved(self) -> int:
        """All memory held for K/V."""
        return self.self_reserved + self.cross

    @property
    def used(self) -> int:
        """The part of it that holds K/V."""
        return self.self_used + self.cross


class Session:
    """Decodes batches of one shape. Everything that depends on the shape alone is allocated here, once.

    ``prefill`` starts a batch, each ``step`` takes the token chosen last and returns the logits of the next. The first
    step has nothing before it and is the same code path. What every strategy shares: the encoder runs once, the LM head
    runs on the last row only.
    """

    def __init__(self, model: EncoderDecoder, strategy: Strategy, batch: int, src_len: int, max_new: int) -> None:
        """Allocate for B=``batch`` sources of S=``src_len`` and at most N=``max_new`` tokens. Raises StrategyError."""
        if min(batch, src_len, max_new) < 1:
            raise StrategyError(f"batch={batch}, src_len={src_len}, max_new={max_new}: each must be at least 1")
        self.model = model
        self.strategy = strategy.bind(max_new)
        self.batch, self.src_len, self.max_new = batch, src_len, max_new
        weight, config = model.embedding.weight, model.config
        shape = KVShape(batch, config.kv_heads, config.d_kv, max_new, weight.dtype, weight.device)
        self._stores = [self.strategy.self_kv(shape) for _ in model.decoder.layers]
        self._make_source = CachedCross if self.strategy.cross == "cached" else RecomputedCross
        self._sources: list[CrossKV] = []
        with torch.no_grad():
            self._tables = DecoderTables(model.decoder, max_new, max(max_new, self.strategy.keys_read(max_new)))
        self._token_BN = torch.full((batch, max_new), config.pad_id, device=weight.device)
        self._position_1 = torch.zeros(1, dtype=torch.int64, device=weight.device)
        self._step = Step(1, self.strategy.rows_fed(1), self._position_1)
        self._source_bias: Tensor | None = None

    @torch.no_grad()
    def prefill(self, src_BS: Tensor, src_mask_BS: Tensor | None = None) -> None:
        """Read sources: int64 [B, S], with a bool mask, True at real tokens (None: all are). Forgets an earlier batch.

        Runs the encoder, then the cross-attention's K and V products if the strategy caches them.
        """
        if src_BS.shape != (self.batch, self.src_len):
            raise StrategyError(f"sources of shape {list(src_BS.shape)} in a session for {[self.batch, self.src_len]}")
        self._step.length, self._step.rows = 1, self.strategy.rows_fed(1)
        self._position_1.zero_()
        for store in self._stores:
            store.reset()
        self._sources = []
        self._source_bias = self.model.source_bias(src_mask_BS)
        memory_BSD = self.model.encoder(src_BS, self._source_bias)
        self._sources = self.model.decoder.attend_to(memory_BSD, self._make_source)

    @torch.no_grad()
    def step(self, token_B: Tensor) -> Tensor:
        """Feed the last chosen tokens, int64 [B] (the start token first) -> logits [B, V] of the next ones.

        The result may be overwritten by the next call: clone what you keep. Raises StrategyError past ``max_new``
        steps or before ``prefill``.
        """
        step, k = self._step, self._step.length
        if k > self.max_new or not self._sources:
            raise StrategyError(
                f"step {k} of a session for {self.max_new} tokens; allocate a longer one"
                if self._sources
                else "step before prefill; call prefill(src_BS) first"
            )
        self._token_BN[:, k - 1] = token_B
        x_BTD = self.model.decoder(
            self._token_BN[:, step.query_offset : k], step, self._stores, self._sources, self._tables, self._source_bias
        )
        logits_BV: Tensor = self.model.lm_head(x_BTD[:, -1])
        step.length = k + 1
        step.rows = self.strategy.rows_fed(k + 1)
        self._position_1 += 1
        return logits_BV

    @property
    def nbytes(self) -> KVBytes:
        """K/V bytes held now, summed over layers."""
        held = [store.nbytes(self._step.length - 1) for store in self._stores]
        return KVBytes(
            sum(reserved for reserved, _ in held),
            sum(used for _, used in held),
            sum(source.nbytes() for source in self._sources),
        )
