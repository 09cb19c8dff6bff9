"""Arms: the things that are timed in a cell.

Here an arm is a strategy with its session. The arm of a contender is in contenders/.
"""

from __future__ import annotations

import gc
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Protocol, Self

import psutil
import torch
from torch import Tensor

from strategies import Session, Strategy
from strategies.execution import is_captured
from strategies.models import costs
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.held import held
from strategies.search.begin import begin
from strategies.search.options import Stop
from strategies.search.searching import Chosen, Searching, Sequences

from ..judging.baseline import baseline_of
from ..probes.memory import peak_memory
from ..settings.cells import Cell
from ..settings.inputs import Inputs
from ..store.records import Round, twin_label
from ..timing.clock import Clock
from ..timing.one_round import one_round
from ..work.formulas import role_sums


@contextmanager
def collector_set_aside() -> Iterator[None]:
    """Inside, garbage collections skip the objects that are alive now, so the collection before each round is quick."""
    gc.collect()
    gc.freeze()
    try:
        yield
    finally:
        gc.unfreeze()


def collections_so_far() -> int:
    """Number of garbage collections in this process so far."""
    return sum(generation["collections"] for generation in gc.get_stats())


class Arm(Protocol):
    """The protocol of an arm: what the rounds of a cell need from anything that is timed in them."""

    label: str
    exact: bool | None
    """Whether it is a strategy that declares full recompute's logits; None of a contender."""
    setup_s: float
    remark: str
    """Text that a table shows beside the status ok; "" if there is nothing to say."""
    token_BN: Tensor | None
    """Tokens of the last round, int64 [B, N] on the CPU; None before it. With num_return B counts sequences, B * R."""
    steps: int
    """Decode steps of the last round. Beam search may take more than the longest sequence that it returns."""

    @property
    def weights(self) -> Sequence[Tensor]:
        """Weights that this process holds."""

    def twin(self) -> Self:
        """Return a repeat of this arm (A/A). Raises an error that says why there can be none."""

    def round(self, index: int, warmup: bool, clock: Clock) -> Round:
        """Run one round and return its marks."""

    def row_lens(self) -> list[int]:
        """Number of tokens of each sequence in the last round."""

    def figures(self) -> dict[str, Any]:
        """Fields of ``ArmResult`` that only this kind of arm knows, to be read after its last round."""


def baseline_among(arms: Sequence[Arm]) -> str:
    """Label of the arm that the others are compared with; "" without any."""
    return baseline_of([arm.label for arm in arms], {arm.label for arm in arms if arm.exact is False})


def new_session(model: EncoderDecoder, strategy: Strategy, cell: Cell) -> Session:
    """A session of a strategy for the sizes of a cell."""
    return Session(model, strategy, cell.batch_size, cell.src_len, cell.tgt_len, cell.beams)


class StrategyArm:
    """A strategy with its session and inputs in one cell. ``label`` replaces the strategy's own label if given."""

    def __init__(
        self, strategy: Strategy, model: EncoderDecoder, inputs: Inputs, cell: Cell, label: str | None = None
    ) -> None:
        self.strategy = strategy
        self.label = label or strategy.label
        self.exact: bool | None = strategy.exact
        self._model, self._inputs, self._cell = model, inputs, cell
        self.remark = "" if cell.device == "cpu" else self._remark()
        self.setup_s = 0.0
        self.session = self._allocate()
        self.token_BN: Tensor | None = None
        self.steps = 0
        self.found: Sequences | None = None

    def _remark(self) -> str:
        """What to know of this arm on CUDA."""
        if self.strategy.execution != "compiled" or is_captured(self.strategy, self._cell.device, self._cell.beams):
            return ""
        return "compiled and not captured as a CUDA graph, because its K/V move at each step"

    def remark_on(self, told: str, first: bool = False) -> None:
        """Add to the remark, after what it says, or before it with ``first``."""
        said = (told, self.remark) if first else (self.remark, told)
        self.remark = "; ".join(filter(None, said))

    def _allocate(self) -> Session:
        start = time.perf_counter()
        cell = self._cell
        session = new_session(self._model, self.strategy, cell)
        if cell.device == "cuda":
            torch.cuda.synchronize()
        self.setup_s = time.perf_counter() - start
        return session

    def twin(self) -> StrategyArm:
        """Return the A/A arm: the same strategy in a session of its own, labelled as a repeat."""
        return StrategyArm(self.strategy, self._model, self._inputs, self._cell, twin_label(self.label))

    @property
    def weights(self) -> list[Tensor]:
        """What the model holds its weights in."""
        return held(self._model)

    def prefill(self) -> None:
        """Start the session on the cell's sources."""
        self.session.prefill(self._inputs.source, self._inputs.src_mask_BS)

    def go_on(self, chosen: Chosen) -> None:
        """Let each row of the session go on from the beam that was chosen for it, before the next step."""
        if chosen.parent_BW is not None:
            self.session.select(chosen.parent_BW)

    def round(self, index: int, warmup: bool, clock: Clock) -> Round:
        """Run one round and return its marks. Python's garbage is collected before it and left alone inside it."""
        gc.collect()
        gc.disable()
        before = collections_so_far()
        try:
            self.decode(clock)
            marks_s = clock.marks_s()
            collections = collections_so_far() - before
        finally:
            gc.enable()
        return Round(self.label, index, warmup, clock.every_step, marks_s, collections)

    def decode(self, clock: Clock, searching: Searching | None = None, stop: Stop | None = None) -> None:
        """Decode once, with marks of ``clock``, and keep what was found; by default by a new search of the cell.

        ``stop`` replaces that of the cell.
        """
        stop = stop or self._cell.stop
        searching = searching or self.search(stop=stop)
        self.steps = len(one_round(self.session, self._inputs, stop, clock, searching))
        self.found = searching.sequences()
        # A search may take more steps than the longest sequence has tokens; contenders return no column of padding.
        self.token_BN = self.found.token_RN[:, : int(self.found.length_R.max())].cpu()

    def row_lens(self) -> list[int]:
        """Number of tokens of each sequence in the last round, up to and with EOS; all N if the length is fixed."""
        return [] if self.found is None else self.found.length_R.tolist()

    def figures(self) -> dict[str, Any]:
        """FLOPs, K/V bytes and blocks, resident memory and sums by role of the last round."""
        assert self.token_BN is not None
        config, held, returned = self._model.config, self.session.nbytes, self._cell.search.returned
        # A sentence needs at least the steps of the longest sequence that is returned of it.
        lengths = self.row_lens()
        steps = [max(lengths[at : at + returned]) for at in range(0, len(lengths), returned)]
        blocks = self.session.blocks_in_use or (None, None)
        return {
            "necessary_flops": costs.necessary_flops(config, self._inputs.src_lens, steps, self._cell.beams),
            "kv_reserved_bytes": held.reserved,
            "kv_used_bytes": held.used,
            "kv_used_blocks": blocks[0],
            "kv_reserved_blocks": blocks[1],
            "rss_bytes": rss_bytes(),
            "roles": role_sums(config, self._cell, self.strategy, self.steps),
        }

    def peak_memory_bytes(self, clock: Clock) -> int:
        """Peak bytes of live tensors above the loaded weights, set-up included, in an untimed round of its own."""
        with peak_memory(self._cell.device) as memory:
            session = new_session(self._model, self.strategy, self._cell)
            one_round(session, self._inputs, self._cell.stop, clock, self.search())
        return memory.peak_bytes

    def search(self, tolerance: float | None = None, stop: Stop | None = None) -> Searching:
        """A new search of the cell's kind; with a ``tolerance`` it counts ties. ``stop`` replaces that of the cell."""
        cell, config = self._cell, self._model.config
        device = self._inputs.source.device
        stop = stop or cell.stop
        return begin(cell.search, config, cell.batch_size, cell.tgt_len, stop, device, cell.seed, tolerance)


def rss_bytes() -> int:
    """Resident memory of this process, in bytes."""
    return int(psutil.Process().memory_info().rss)
