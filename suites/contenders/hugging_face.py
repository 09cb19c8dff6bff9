"""transformers' ``generate()`` with each of its caches, as a user calls it: greedy, eager unless the name says so."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .contender import Contender, Decoded, register
from .generate_marks import Marks, Scores

if TYPE_CHECKING:
    from torch import Tensor

    from ..settings.cells import Cell


class HuggingFace(Contender):
    """Base of all of them. ``options`` are the fields that each sets in its GenerationConfig.

    Marks: start; the encoder's end, by a hook on it; the end of each step; the last when the call returns. On the CPU a
    step ends when the streamer is given its tokens. On CUDA it ends at an event that a logits processor records behind
    the step's scores, so that choosing the token counts to the next gap; the last mark has all of it. Rounds without
    step marks record four events, and no event between steps.

    Whatever ``generate()`` itself does is inside the timed span, as a user pays for it: it prepares masks, caches and
    criteria on the host, and asks the device after each step whether all sentences have ended. The source is on the
    device before the start. The process keeps torch's own settings, such as its choice of an attention kernel.

    Cross-attention K/V are made in the first step here; our strategies make them in prefill. EOS is masked in place in
    the scores, as in our own loop.
    """

    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16")}
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def supports(cls, cell: Cell) -> str:
        """Not a decoder that is deeper than the encoder (5.24: IndexError in the cache)."""
        from strategies import config_of

        config = config_of(cell.model)
        if cls.options.get("use_cache", True) and config.decoder_layers > config.encoder_layers:
            return "generate() makes its cache for as many layers as the encoder has, and this decoder has more"
        return ""

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load the model in the cell's type, on its device. In fp16 T5's ``wo`` stays float32, as in our own model.

        TensorFloat-32 is as in the cell. torch may choose all of its attention kernels, as for users of transformers.
        """
        from transformers import AutoModelForSeq2SeqLM, GenerationConfig
        from transformers.utils import logging

        from strategies import DTYPES
        from strategies.models.torch_settings import use_tf32

        use_tf32(cell.tf32)
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        loaded: Any = AutoModelForSeq2SeqLM.from_pretrained(checkpoint, local_files_only=True, dtype=DTYPES[cell.dtype])
        self.model: Any = loaded.eval().to(cell.device)
        own = self.model.config
        self._ids = {name: getattr(own, name) for name in ("pad_token_id", "eos_token_id", "decoder_start_token_id")}
        ends = self._ids["eos_token_id"]
        self._ends: list[int] = ends if isinstance(ends, list) else [ends]
        self._cell = cell
        self._marks: Marks | None = None
        self.model.get_encoder().register_forward_hook(self._encoded)
        self._config: Any = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False, num_beams=1, max_new_tokens=cell.tgt_len, **self._ids, **self.options
        )

    def round(self, src_ids: Sequence[Sequence[int]], stop: Literal["fixed", "eos"]) -> Decoded:
        """Call ``generate()`` once."""
        from ..timing.clock import CpuClock

        given = self._given(src_ids)
        self._marks = marks = Marks(self.clock)
        streams = isinstance(self.clock, CpuClock)
        marks.start()
        token_BN = self._generate(given, stop, marks if streams else None, None if streams else marks)
        marks_s = marks.ended(token_BN.shape[1] - 1)
        self._marks = None
        rows = [self._to_end(row) if stop == "eos" else row for row in token_BN[:, 1:].tolist()]
        return Decoded(rows, marks_s, self.clock.every_step)

    def peak_memory_bytes(self, src_ids: Sequence[Sequence[int]], stop: Literal["fixed", "eos"]) -> int | None:
        """As of our own strategies: what one call adds to the weights, its source not counted."""
        from ..probes.memory import peak_memory

        given = self._given(src_ids)
        self._generate(given, stop)  # at the first call, libraries ask the allocator for workspaces that they keep
        if hasattr(self.model, "_cache"):  # a static cache that earlier versions keep for the next call
            del self.model._cache
        with peak_memory(self._cell.device) as memory:
            self._generate(given, stop)
        return memory.peak_bytes

    def _given(self, src_ids: Sequence[Sequence[int]]) -> dict[str, Tensor]:
        """Source and mask, on the device."""
        import torch

        lengths = torch.tensor([len(row) for row in src_ids])
        mask_BS = (torch.arange(self._cell.src_len) < lengths[:, None]).long()
        src_BS = torch.full(mask_BS.shape, self._ids["pad_token_id"])
        src_BS[mask_BS.bool()] = torch.tensor([number for row in src_ids for number in row])
        device = self._cell.device
        return {"input_ids": src_BS.to(device), "attention_mask": mask_BS.to(device)}

    def _generate(
        self,
        given: Mapping[str, Tensor],
        stop: Literal["fixed", "eos"],
        streamer: Marks | None = None,
        scored: Marks | None = None,
    ) -> Tensor:
        """Call ``generate()``: int64 [B, 1 + N], the start token first. ``scored`` marks each step's scores."""
        from transformers import LogitsProcessorList

        processors = [Scores(self._ends if stop == "fixed" else (), scored)] if stop == "fixed" or scored else []
        token_BN: Tensor = self.model.generate(
            **given,
            generation_config=self._config,
            logits_processor=LogitsProcessorList(processors),
            streamer=streamer,
        )
        return token_BN

    def _encoded(self, *_: Any) -> None:
        if self._marks is not None:
            self._marks.encoded()

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
        """Load, and decode, which compiles the step.

        By default ``generate()`` compiles on accelerators alone, there in the mode "reduce-overhead", which captures
        CUDA graphs: the first call of a compiled step warms up, the second records, later ones replay. So on CUDA it
        decodes three times. On the CPU a private flag, meant for tests, makes it compile. Inductor compiles in this
        process, because its pool of workers would stay alive during the rounds.
        """
        os.environ["TORCHINDUCTOR_COMPILE_THREADS"] = "1"
        super().prepare(checkpoint, cell)
        from transformers import CompileConfig

        from strategies.models.kernels.compiling import CompileError, graphs_so_far, why_not_compiled

        before = graphs_so_far()
        if cell.device == "cpu":
            compiled: Any = CompileConfig()
            compiled._compile_all_devices = True
            self._config.compile_config = compiled
        given = self._given([[self._ids["pad_token_id"]] * cell.src_len] * cell.batch_size)
        for _ in range(1 if cell.device == "cpu" else 3):
            self._generate(given, "fixed")
        if getattr(self.model, "_compiled_call", None) is None:
            raise RuntimeError(f"this version of transformers did not compile on {cell.device}")
        if graphs_so_far() == before:
            raise CompileError(f"nothing was compiled: {why_not_compiled() or 'torch was told not to'}")

    def peak_memory_bytes(self, src_ids: Sequence[Sequence[int]], stop: Literal["fixed", "eos"]) -> int | None:
        """None: the memory of a captured graph is set apart when it is recorded, not when it is replayed."""
        return None
