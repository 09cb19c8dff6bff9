"""A decoding session: a model, a strategy and the buffers for one shape. One class serves every strategy."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from .models.encoder_decoder import Attended, DecoderTables, EncoderDecoder
from .models.kernels.compiling import lengthen
from .models.kernels.execution import Captured, Compiled, Forward, next_logits
from .models.stores import CachedCross, Growing, KVShape, RecomputedCross, Step
from .strategy import Strategy, StrategyError


@dataclass(frozen=True)
class KVBytes:
    """Bytes of K/V that persist between steps: self-attention's reserved and used, and cross-attention's."""

    self_reserved: int
    self_used: int
    cross: int

    @property
    def reserved(self) -> int:
        """All bytes held for K/V, whether they are filled or not."""
        return self.self_reserved + self.cross

    @property
    def used(self) -> int:
        """The part of ``reserved`` that holds K/V."""
        return self.self_used + self.cross


def is_captured(strategy: Strategy, device: str) -> bool:
    """Whether steps of ``strategy`` are CUDA graphs on ``device``: captured ones, and compiled ones that can be."""
    asked = strategy.execution == "graph" or (strategy.execution == "compiled" and "graph" in strategy.supports)
    return asked and device == "cuda"


class Session:
    """Decodes batches of one shape. Everything that depends on the shape alone is allocated here, once.

    ``prefill`` starts a batch. Each ``step`` takes the tokens chosen last and returns the logits of the next ones; the
    first step runs the same code as the others. Under every strategy the encoder runs once per batch, and the LM head
    runs on the last row only.
    """

    def __init__(self, model: EncoderDecoder, strategy: Strategy, batch: int, src_len: int, max_new: int) -> None:
        """Allocate buffers for B=``batch`` sources of S=``src_len`` tokens and targets of at most N=``max_new`` tokens.

        Raises StrategyError if a size is below 1, if the strategy does not fit the target length or does not give one
        store per decoder layer, or if ``execution=graph`` has no CUDA device. Raises CompileError if a step was to be
        compiled and torch compiled nothing.
        """
        if min(batch, src_len, max_new) < 1:
            raise StrategyError(f"batch={batch}, src_len={src_len}, max_new={max_new}: each must be at least 1")
        self.model = model
        self.strategy = strategy.bind(max_new)
        self.batch, self.src_len, self.max_new = batch, src_len, max_new
        self.rows = batch
        weight, config = model.embedding.weight, model.config
        shape = KVShape(batch, config.kv_heads, config.d_kv, max_new, weight.dtype, weight.device)
        layers = len(model.decoder.layers)
        self._stores = self.strategy.open(shape, layers)
        if len(self._stores) != layers:
            raise StrategyError(
                f"{self.strategy.label}: open gave {len(self._stores)} stores for {layers} decoder layers; "
                "give one for each"
            )
        self._make_source = CachedCross if self.strategy.cross == "cached" else RecomputedCross
        with torch.no_grad():
            self._tables = DecoderTables(model.decoder, max_new, max(max_new, self.strategy.keys_read(max_new)))
        steps = range(1, max_new + 1)
        self._feeds_prefix = any(self.strategy.rows_fed(k) > 1 for k in steps)
        self._token_BN = torch.full((batch, max_new), config.pad_id, device=weight.device)
        self._position_1 = torch.zeros(1, dtype=torch.int64, device=weight.device)
        self._step = Step(1, self.strategy.rows_fed(1), self.strategy.keys_read(1), self._position_1)
        self._attended: Attended | None = None
        self._held: Attended | None = None
        self._fed_B1: Tensor | None = None
        self._forward: Forward = next_logits
        if self.strategy.execution != "eager":
            # Compiled and captured steps need their input in one layout, captured ones also at one address.
            self._fed_B1 = torch.zeros(batch, 1, dtype=torch.int64, device=weight.device)
            self._forward = self._executor()
            self._prepare(steps)

    def _executor(self) -> Forward:
        weight, trains = self.model.embedding.weight, self.model.training
        captured = is_captured(self.strategy, weight.device.type)
        if self.strategy.execution == "compiled":
            key = self.strategy, self.batch, self.src_len, self.max_new, weight.dtype, weight.device, trains
            return Captured(Compiled(key)) if captured else Compiled(key)
        if not captured:
            raise StrategyError(f"{self.strategy.label}: execution=graph needs a CUDA device; give eager or compiled")
        return Captured()

    @torch.no_grad()
    def _prepare(self, steps: range) -> None:
        """Compile or capture each variant of the step, at the last position that it serves, on placeholder sources."""
        self.prefill(torch.full((self.batch, self.src_len), self.model.config.start_id, device=self._token_BN.device))
        last = {self.strategy.variant(k): k for k in steps}
        for k in last.values():
            self._stand_at(k)
            self._position_1.fill_(k - 1)
            for store in self._stores:
                if isinstance(store, Growing):
                    lengthen(store.grow_to(k - 1))
            self._run(self._token_BN[:, 0])
        if isinstance(self._forward, Captured):
            self._held = self._attended
        self._attended = None

    @torch.no_grad()
    def prefill(self, src_BS: Tensor, src_mask_BS: Tensor | None = None) -> None:
        """Start a batch: run the encoder on sources, int64 [B, S]. An earlier batch is forgotten.

        ``src_mask_BS`` is bool, True at real tokens (None: all are real). If the strategy caches cross-attention K/V,
        they are projected here. Raises StrategyError for sources of another shape.
        """
        if src_BS.shape != (self.batch, self.src_len):
            raise StrategyError(f"sources of shape {list(src_BS.shape)} in a session for {[self.batch, self.src_len]}")
        self._stand_at(1)
        self._position_1.zero_()
        for store in self._stores:
            store.reset()
        self._attended = None  # frees what is kept of the previous sources before the new ones are read
        bias = self.model.source_bias(src_mask_BS)
        memory_BSD = self.model.encoder(src_BS, bias)
        if src_mask_BS is None and self.strategy.execution != "eager":
            # A mask of zeros, so that one compiled or captured step serves sources with padding and without.
            bias = self.model.source_bias(torch.ones_like(src_BS, dtype=torch.bool))
        sources = self.model.decoder.attend_to(memory_BSD, self._make_source)
        self._attended = Attended(self._stores, sources, self._tables, bias)
        if self._held is not None:
            self._attended = _written(self._attended, self._held)

    @torch.no_grad()
    def step(self, token_B: Tensor) -> Tensor:
        """Feed the tokens chosen last, int64 [B] (at first the start token); return the logits of the next, [B, V].

        The next call may overwrite the result: clone what you keep. Raises StrategyError after ``max_new`` steps, or
        before ``prefill``.
        """
        k = self._step.length
        if k > self.max_new or self._attended is None:
            raise StrategyError(
                f"step {k} of a session for {self.max_new} tokens; allocate a longer one"
                if self._attended is not None
                else "step before prefill; call prefill(src_BS) first"
            )
        logits_BV = self._run(token_B)
        if k < self.max_new:
            self._stand_at(k + 1)
        else:
            self._step.length = k + 1
        self._position_1 += 1
        return logits_BV

    def select(self, parent_BW: Tensor) -> None:
        """Let each row go on from the beam ``parent_BW``, int64 [B, W], of its sentence."""
        raise StrategyError("a session of one beam has no rows to reorder")

    def _run(self, token_B: Tensor) -> Tensor:
        """Run the step that the session stands at; return its logits, [B, V]."""
        step, attended = self._step, self._attended
        assert attended is not None
        if self._feeds_prefix:
            self._token_BN[:, step.length - 1] = token_B
            token_BT = self._token_BN[:, step.query_offset : step.length]
        else:
            token_BT = token_B[:, None]
        if self._fed_B1 is not None:
            token_BT = self._fed_B1.copy_(token_BT)
        return self._forward(self.model, token_BT, step, attended)

    def _stand_at(self, k: int) -> None:
        """Move to the step that attends k keys. The position on the device is advanced separately."""
        self._step.length, self._step.rows = k, self.strategy.rows_fed(k)
        self._step.keys, self._step.variant = self.strategy.keys_read(k), self.strategy.variant(k)

    @property
    def nbytes(self) -> KVBytes:
        """K/V bytes held now, summed over layers."""
        held = [store.nbytes(self._step.length - 1) for store in self._stores]
        return KVBytes(
            sum(reserved for reserved, _ in held),
            sum(used for _, used in held),
            sum(source.nbytes() for source in self._attended.sources) if self._attended is not None else 0,
        )


def _written(new: Attended, held: Attended) -> Attended:
    """Copy the sources just read into ``held``, whose addresses a captured step reads; return ``held``."""
    assert held.source_bias is not None
    assert new.source_bias is not None
    held.source_bias.copy_(new.source_bias)
    for old, source in zip(held.sources, new.sources, strict=True):
        old.copy_(source)
    return held
