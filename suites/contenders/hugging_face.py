"""transformers' ``generate()`` with each of its caches, as a user calls it: greedy, eager unless the name says so."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .contender import Contender, Decoded, register

if TYPE_CHECKING:
    from ..settings.cells import Cell


class Marks:
    """A streamer for ``generate()``, which receives the prompt, then the tokens of each step once they are chosen."""

    def __init__(self) -> None:
        self._started = False
        self.marks_s: list[float] = []

    def start(self) -> None:
        """Take the first mark."""
        self.marks_s = [time.perf_counter()]
        self._started = False

    def encoded(self, *_: Any) -> None:
        """Take the mark at the encoder's end, as its forward hook."""
        self.marks_s.append(time.perf_counter())

    def put(self, token_B: Any) -> None:
        """Take the mark of a step. The first call brings the prompt, before any step, and is ignored."""
        if self._started:
            self.marks_s.append(time.perf_counter())
        self._started = True

    def end(self) -> None:
        """Move the last token's mark to now, when the call returns."""
        self.marks_s[-1] = time.perf_counter()


class HuggingFace(Contender):
    """Base of all of them. ``options`` are the fields that each sets in its GenerationConfig.

    Marks: start; the encoder's end, by a hook on it; the end of each step, when the streamer is given its tokens; the
    last when the call returns. Cross-attention K/V are made in the first step here; our strategies make them in
    prefill. EOS is masked in place in the scores, as in our own loop.
    """

    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def supports(cls, cell: Cell) -> str:
        """Reasons of every contender, and a decoder that is deeper than the encoder (5.24: IndexError in the cache)."""
        from strategies import config_of

        config = config_of(cell.model)
        if cls.options.get("use_cache", True) and config.decoder_layers > config.encoder_layers:
            return "generate() makes its cache for as many layers as the encoder has, and this decoder has more"
        return super().supports(cell)

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load the model in float32."""
        from transformers import AutoModelForSeq2SeqLM, GenerationConfig, LogitsProcessorList
        from transformers.utils import logging

        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self.model: Any = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, local_files_only=True).eval()
        own = self.model.config
        self._ids = {name: getattr(own, name) for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
        ends = self._ids["eos_token_id"]
        self._ends: list[int] = ends if isinstance(ends, list) else [ends]
        self._marks, self._cell = Marks(), cell
        self.model.get_encoder().register_forward_hook(self._marks.encoded)
        self._config: Any = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, num_beams=1, max_new_tokens=cell.tgt_len, **self._ids, **self.options
        )
        self._fixed = LogitsProcessorList([self._mask_end])

    def _mask_end(self, _: Any, scores_BV: Any) -> Any:
        scores_BV[:, self._ends] = -float("inf")
        return scores_BV

    def round(self, src_ids: Sequence[Sequence[int]], stop: Literal["fixed", "eos"]) -> Decoded:
        """Call ``generate()`` once."""
        import torch

        lengths = torch.tensor([len(row) for row in src_ids])
        mask_BS = (torch.arange(self._cell.src_len) < lengths[:, None]).long()
        src_BS = torch.full(mask_BS.shape, self._ids["pad_token_id"])
        src_BS[mask_BS.bool()] = torch.tensor([number for row in src_ids for number in row])
        self._marks.start()
        token_BN = self.model.generate(
            input_ids=src_BS,
            attention_mask=mask_BS,
            generation_config=self._config,
            logits_processor=self._fixed if stop == "fixed" else None,
            streamer=self._marks,
        )
        first = self._marks.marks_s[0]
        rows = [self._to_end(row) if stop == "eos" else row for row in token_BN[:, 1:].tolist()]
        return Decoded(rows, [mark - first for mark in self._marks.marks_s])

    def _to_end(self, row: list[int]) -> list[int]:
        end = next((place for place, number in enumerate(row) if number in self._ends), len(row))
        return row[: end + 1]


@register("transformers_dynamic")
class Dynamic(HuggingFace):
    """transformers generate(), its default: a cache that grows by concatenation."""


@register("transformers_no_cache")
class NoCache(HuggingFace):
    """transformers generate(use_cache=False): it feeds the whole prefix at every step."""

    options: ClassVar[dict[str, Any]] = {"use_cache": False}


@register("transformers_static")
class Static(HuggingFace):
    """transformers generate(cache_implementation="static"), not compiled."""

    options: ClassVar[dict[str, Any]] = {"cache_implementation": "static", "disable_compile": True}


@register("transformers_static_compiled")
class StaticCompiled(HuggingFace):
    """transformers generate(cache_implementation="static"), its decoder step compiled before anything is timed."""

    options: ClassVar[dict[str, Any]] = {"cache_implementation": "static"}

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load, and decode once, which compiles the step.

        By default ``generate()`` compiles on accelerators alone. A private flag, meant for tests, makes it compile on
        the CPU. Inductor compiles in this process, because its pool of workers would stay alive during the rounds.
        """
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        super().prepare(checkpoint, cell)
        from transformers import CompileConfig

        from strategies.models.kernels.compiling import CompileError, graphs_so_far, why_not_compiled

        before = graphs_so_far()
        compiled: Any = CompileConfig()
        compiled._compile_all_devices = True
        self._config.compile_config = compiled
        row = [self._ids["pad_token_id"]] * cell.src_len
        self.round([row] * cell.batch_size, "fixed")
        if getattr(self.model, "_compiled_call", None) is None:
            raise RuntimeError("this version of transformers did not compile on the CPU")
        if graphs_so_far() == before:
            raise CompileError(f"nothing was compiled: {why_not_compiled() or 'torch was told not to'}")
