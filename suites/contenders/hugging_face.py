"""transformers' ``generate()`` with each of its caches, eager unless the name says so."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .blank import blank_source
from .contender import register
from .errors import UnavailableError
from .generate import HuggingFace

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source


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
        from transformers import CompileConfig, __version__

        from strategies.models.kernels.compiling import CompileError, graphs_so_far, why_not_compiled

        before = graphs_so_far()
        if cell.device == "cpu":
            compiled: Any = CompileConfig()
            compiled._compile_all_devices = True
            self._config.compile_config = compiled
        given = self._given(blank_source(cell, self._of))
        for _ in range(1 if cell.device == "cpu" else 3):
            self._generate(given, "fixed")
        if getattr(self.model, "_compiled_call", None) is None:
            if self._has_beams:
                raise UnavailableError(f"generate() of transformers {__version__} compiles no step of its beam search")
            raise RuntimeError(f"this version of transformers did not compile on {cell.device}")
        if graphs_so_far() == before:
            raise CompileError(f"nothing was compiled: {why_not_compiled() or 'torch was told not to'}")

    def peak_memory_bytes(self, source: Source, stop: Literal["fixed", "eos"]) -> int | None:
        """None: the memory of a captured graph is set apart when it is recorded, not when it is replayed."""
        return None
