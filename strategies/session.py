"""A decoding session: a model, a strategy and the buffers for one shape. One class serves every strategy."""

from __future__ import annotations

import torch
from torch import Tensor

from .beams import Beams
from .execution import executor, written
from .kv_bytes import KVBytes, blocks_held, bytes_held
from .models.encoder_decoder import Attended, DecoderTables, EncoderDecoder
from .models.kernels.compiling import lengthen
from .models.kernels.execution import Captured, Forward, next_logits
from .models.sources import placeholder, source_shape
from .models.stores import Growing, KVShape, Step
from .prefix import Prefix
from .strategy import Strategy, StrategyError


class Session:
    """Decodes batches of one shape. Everything that depends on the shape alone is allocated here, once.

    ``prefill`` starts a batch. Each ``step`` takes the tokens chosen last and returns the logits of the next ones; the
    first step runs the same code as the others. Under every strategy the encoder runs once per batch, and the LM head
    runs on the last row only.

    With W=``beams`` the decoder has X = B * W rows, of which the W of a sentence lie side by side. ``select`` is then
    called after each step but the last: it says which beam each row continues.

    A sentence begins with P forced tokens, its decoder prefix: the start token alone, or more (a language, a prompt).
    ``prefill`` feeds all but the last of them, in one pass without the LM head. The first step feeds that one, and
    attends k = P keys. A strategy that feeds more than one row to that step leaves as many fewer to ``prefill``.
    """

    def __init__(
        self,
        model: EncoderDecoder,
        strategy: Strategy,
        batch: int,
        src_len: int,
        max_new: int,
        beams: int = 1,
        prefix_len: int | None = None,
    ) -> None:
        """Allocate buffers for B=``batch`` sources of S=``src_len`` positions and targets of N=``max_new`` free tokens.

        They come after P=``prefix_len`` forced ones (None: as many as the model has), so stores hold P - 1 + N rows.

        Raises StrategyError if a size is below 1, if a length does not fit the model's positions, if the strategy does
        not fit the target length or does not give one store per decoder layer, if it does not keep every row of a
        prefix, if its stores cannot be reordered and there are several beams, or if ``execution=graph`` has no CUDA
        device. Raises CompileError if a step was to be compiled and torch compiled nothing.
        """
        config = model.config
        prefix_len = config.prefix_len if prefix_len is None else prefix_len
        if min(batch, src_len, max_new, beams, prefix_len) < 1:
            sizes = f"batch={batch}, src_len={src_len}, max_new={max_new}, beams={beams}, prefix_len={prefix_len}"
            raise StrategyError(f"{sizes}: each must be at least 1")
        if line := config.beyond_positions(src_len, max_new, prefix_len):
            raise StrategyError(line)
        self.model = model
        self.batch, self.src_len, self.max_new, self.beams = batch, src_len, max_new, beams
        self.prefix_len, self.length_max = prefix_len, prefix_len - 1 + max_new
        self.strategy = strategy.bind(self.length_max)
        self.rows = rows = batch * beams
        weight = model.embedding.weight
        shape = KVShape(rows, config.kv_heads, config.d_kv, self.length_max, weight.dtype, weight.device, beams)
        layers = len(model.decoder.layers)
        self._stores = self.strategy.open(shape, layers)
        if len(self._stores) != layers:
            raise StrategyError(
                f"{self.strategy.label}: open gave {len(self._stores)} stores for {layers} decoder layers; "
                "give one for each"
            )
        self._of_beams = Beams(self.strategy, self._stores, batch, beams, weight.device)
        most = self.length_max
        with torch.no_grad():
            self._tables = DecoderTables(model.decoder, most, max(most, self.strategy.keys_read(most)))
            self._position_SD = model.encoder.position_table(src_len)
        steps = range(prefix_len, most + 1)
        self._feeds_prefix = any(self.strategy.rows_fed(k) > 1 for k in steps)
        self._prefix = Prefix(config, self.strategy, prefix_len, batch, beams, weight.device)
        self._token_XN = torch.full((rows, most), config.pad_id, device=weight.device)
        self._position_1 = torch.zeros(1, dtype=torch.int64, device=weight.device)
        self._step = Step(1, self.strategy.rows_fed(1), self.strategy.keys_read(1), self._position_1)
        self._attended: Attended | None = None
        self._held: Attended | None = None
        self._fed_X1: Tensor | None = None
        self._forward: Forward = next_logits
        if self.strategy.execution != "eager":
            # Compiled and captured steps need their input in one layout, captured ones also at one address.
            self._fed_X1 = torch.zeros(rows, 1, dtype=torch.int64, device=weight.device)
            self._forward = executor(model, self.strategy, batch, src_len, self.length_max, beams)
            self._prepare(steps)

    @torch.no_grad()
    def _prepare(self, steps: range) -> None:
        """Compile or capture each variant of the step, at the last position that it serves, on placeholder sources.

        With beams, they are reordered before, so that what grows has the memory layout that ``select`` leaves. A step
        is then captured for both of the buffers on which ``TwoSided`` stores may stand.
        """
        device = self._token_XN.device
        source = placeholder(self.model.config, self.batch, self.src_len, device)
        self.prefill(source, None, self._prefix.own_BP)
        own_BW = self.own_BW()
        two = isinstance(self._forward, Captured) and self._of_beams.two_sided is not None
        last = {self.strategy.variant(k): k for k in steps}
        for k in [k for k in last.values() for _ in range(2 if two else 1)]:
            self._stand_at(k)
            self._position_1.fill_(k - 1)
            growing = [store for store in self._stores if isinstance(store, Growing)]
            for store in growing:
                store.grow_to(k - 1)
            if self.beams > 1:
                self._reorder(own_BW)
            for store in growing:
                lengthen(store.grow_to(k - 1))
            self._run(self._token_XN[:, 0])
        if isinstance(self._forward, Captured):
            self._held = self._attended
        self._attended = None

    @torch.no_grad()
    def prefill(self, source: Tensor, src_mask_BS: Tensor | None = None, prefix_BP: Tensor | None = None) -> None:
        """Start a batch: run the encoder on the sources, and feed the prefix. An earlier batch is forgotten.

        ``source`` are token ids, int64 [B, S], or features [B, mel, 2 S]. ``src_mask_BS`` is bool, True at real tokens
        (None: all are real). If the strategy caches cross-attention K/V, they are projected here. ``prefix_BP`` are the
        forced tokens of each sentence, int64 [B, P] (None: those of the model). Raises StrategyError for sources or a
        prefix of another shape, and for features that are whole numbers or have a mask.
        """
        self._prefix.take(prefix_BP)
        expected = source_shape(self.model.config, self.batch, self.src_len)
        if source.shape != expected:
            raise StrategyError(f"sources of shape {list(source.shape)} in a session for {list(expected)}")
        if self.model.config.mel_bins is not None and not source.is_floating_point():
            raise StrategyError(f"features of type {source.dtype}; give a floating-point type, source.float()")
        if self.model.config.mel_bins is not None and src_mask_BS is not None:
            raise StrategyError("a mask with features, which fill all positions of a source; leave src_mask_BS out")
        self._of_beams.are_selected = True
        for store in self._stores:
            store.reset()
        self._of_beams.read_side(self._step)
        self._attended = None  # frees what is kept of the previous sources before the new ones are read
        bias = self.model.source_bias(src_mask_BS)
        memory_BSD = self.model.encoder(source, bias, self._position_SD)
        if src_mask_BS is None and self.strategy.execution != "eager" and self.model.config.mel_bins is None:
            # A mask of zeros, so that one compiled or captured step serves sources with padding and without. Features
            # are never padded.
            src_mask_BS = torch.ones(memory_BSD.shape[:2], dtype=torch.bool, device=memory_BSD.device)
            bias = self.model.source_bias(src_mask_BS)
        copies = self.strategy.source_copies(self.beams)
        if copies > 1 and src_mask_BS is not None:
            bias = self.model.source_bias(src_mask_BS.repeat_interleave(copies, 0))
        sources = self.model.decoder.attend_to(memory_BSD, self.strategy.cross_kv, copies)
        self._attended = Attended(self._stores, sources, self._tables, bias)
        if self._held is not None:
            self._attended = written(self._attended, self._held)
        self._feed_prefix()

    @property
    def first_X(self) -> Tensor:
        """The last token of each row's prefix, int64 [X], which the first step is fed."""
        return self._prefix.token_XP[:, -1]

    def _feed_prefix(self) -> None:
        """Feed all rows of the prefix that the first step does not feed, then stand at that step."""
        if self._feeds_prefix and self.prefix_len > 1:
            self._token_XN[:, : self.prefix_len - 1] = self._prefix.token_XP[:, :-1]
        if fed := self._prefix.fed:
            assert self._attended is not None
            self._stand_at(fed)
            self._step.rows = fed
            self._position_1.fill_(fed - 1)
            self.model.decoder(self._prefix.token_XP[:, :fed], self._step, self._attended)
        self._stand_at(self.prefix_len)
        self._position_1.fill_(self.prefix_len - 1)

    @torch.no_grad()
    def step(self, token_X: Tensor) -> Tensor:
        """Feed the tokens chosen last, int64 [X] (``first_X`` at first); return the logits of the next, [X, V].

        The next call may overwrite the result: clone what you keep. Raises StrategyError for tokens of another shape,
        after ``max_new`` steps, before ``prefill``, and with beams for a step that no ``select`` stands before.
        """
        k = self._step.length
        if k > self.length_max or self._attended is None:
            raise StrategyError(
                f"step {k - self.prefix_len + 1} of a session for {self.max_new} tokens; allocate a longer one"
                if self._attended is not None
                else "step before prefill; call prefill(source) first"
            )
        if token_X.shape != (self.rows,):
            raise StrategyError(
                f"tokens of shape {list(token_X.shape)} in a session of {self.rows} rows; give one for each"
            )
        if not self._of_beams.are_selected:
            number = k - self.prefix_len + 1
            raise StrategyError(f"step {number} of {self.beams} beams without select(parent_BW) before it; call it")
        logits_XV = self._run(token_X)
        self._of_beams.are_selected = self.beams == 1
        if k < self.length_max:
            self._stand_at(k + 1)
        else:
            self._step.length = k + 1
        self._position_1 += 1
        return logits_XV

    @torch.no_grad()
    def select(self, parent_BW: Tensor) -> None:
        """Let each row go on from the beam ``parent_BW``, int64 [B, W] of 0 to W - 1, of its sentence.

        It is called once after each step but the last, also where every row goes on with itself: what compiled and
        captured steps read then always has one layout. With one beam it does nothing. Raises StrategyError for parents
        of another shape, and where it is called anywhere else. That parents are within 0 to W - 1 is not checked, which
        would wait for the device.
        """
        if self.beams == 1:
            return
        self._of_beams.require(parent_BW, is_over=self._step.length > self.length_max)
        self._reorder(parent_BW)
        self._of_beams.are_selected = True

    def own_BW(self) -> Tensor:
        """Parents by which each row goes on with itself, int64 [B, W]."""
        return self._of_beams.own_BW()

    def _reorder(self, parent_BW: Tensor) -> None:
        assert self._attended is not None
        parent_X = self._of_beams.rows(parent_BW)
        if self._feeds_prefix:
            held = self._held_rows
            self._token_XN[:, :held] = self._token_XN[:, :held].index_select(0, parent_X)
        self.model.decoder.select(self._attended, parent_X, self._step, cross=self.strategy.cross_beams == "expanded")
        self._of_beams.read_side(self._step)

    def _run(self, token_X: Tensor) -> Tensor:
        """Run the step that the session stands at; return its logits, [X, V]."""
        step, attended = self._step, self._attended
        assert attended is not None
        if self._feeds_prefix:
            self._token_XN[:, step.length - 1] = token_X
            token_XT = self._token_XN[:, step.query_offset : step.length]
        else:
            token_XT = token_X.unsqueeze(1)
        if self._fed_X1 is not None:
            token_XT = self._fed_X1.copy_(token_XT)
        return self._forward(self.model, token_XT, step, attended)

    def _stand_at(self, k: int) -> None:
        """Move to the step that attends k keys. The position on the device is advanced separately."""
        self._step.length, self._step.rows = k, self.strategy.rows_fed(k)
        self._step.keys, self._step.variant = self.strategy.keys_read(k), self.strategy.variant(k)

    @property
    def nbytes(self) -> KVBytes:
        """K/V bytes held now, summed over layers."""
        return bytes_held(self._stores, self._attended.sources if self._attended is not None else (), self._held_rows)

    @property
    def blocks_in_use(self) -> tuple[int, int] | None:
        """Blocks of K/V of one layer (in use, reserved) now; None where there are none. It waits for the device."""
        return blocks_held(self.strategy, self._stores[0], self._held_rows)

    @property
    def _held_rows(self) -> int:
        """Rows of self-attention K/V that were fed before the step that the session stands at."""
        return self._step.length - 1
