"""A call of transformers' ``generate()``, as a user makes it: by greedy search or by beam search, with marks."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from strategies.search.options import Beam, Search

from .contender import Contender
from .decoded import Decoded
from .generate_marks import Marks, Scores
from .one_beam import greedy_rule

if TYPE_CHECKING:
    from torch import Tensor

    from strategies import ModelConfig

    from ..settings.cells import Cell
    from ..settings.inputs import Source


SCORES_BYTES_MAX = 1 << 30
"""Bytes of log-probabilities up to which the scores of sequences are asked for."""


def search_options(search: Search) -> dict[str, Any]:
    """Fields of a GenerationConfig. ``generate()`` decodes greedily where there is one beam."""
    if not isinstance(search, Beam) or search.num_beams == 1:
        return {"num_beams": 1}
    return {
        "num_beams": search.num_beams,
        "length_penalty": search.length_penalty,
        "early_stopping": {"true": True, "false": False, "never": "never"}[search.early_stopping],
        "num_return_sequences": search.num_return,
    }


def rule_options(config: ModelConfig, stop: Literal["fixed", "eos"]) -> dict[str, Any]:
    """Fields of a GenerationConfig for the model's special ids and its rules of choice.

    The decoder's prefix is not among them, because a forced token would cost a step; it is given as decoder input. Nor
    is the mask of EOS that a fixed length needs, which is a processor of ours (``Scores``).
    """
    return {
        "pad_token_id": config.pad_id,
        "eos_token_id": list(config.eos_ids),
        "decoder_start_token_id": config.start_id,
        "suppress_tokens": list(config.suppress_ids) or None,
        "begin_suppress_tokens": list(config.begin_suppress_ids) or None,
        "forced_eos_token_id": config.forced_eos_id if stop == "eos" else None,
    }


class HuggingFace(Contender):
    """Base of all contenders by transformers. ``options`` are the fields that each sets in its GenerationConfig.

    Marks: start; the encoder's end, by a hook on it; the end of each step; the last when the call returns. On the CPU a
    step of greedy search ends when the streamer is given its tokens. On CUDA, and with beams, for which there is no
    streamer, it ends where a logits processor is asked for the step's scores. So choosing the tokens and reordering the
    caches count to the next gap. The last mark has all of it, and building the sequences too. Rounds without step marks
    record four events, and no event between steps.

    Whatever ``generate()`` itself does is inside the timed span, as a user pays for it: it prepares masks, caches and
    criteria on the host, and asks the device after each step whether all sentences have ended. The source is on the
    device before the start. The process keeps torch's own settings, such as its choice of an attention kernel.

    Cross-attention K/V are made in the first step here; our strategies make them in prefill. EOS is masked in place in
    the scores, as in our own loop. With beams these are log-probabilities, which are not made to add up to 1 again.
    """

    requires: ClassVar[tuple[str, ...]] = ("transformers",)
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16")}
    searches: ClassVar[tuple[str, ...]] = ("greedy", "beam")
    architectures: ClassVar[tuple[str, ...]] = ("t5", "marian", "bart", "mbart", "m2m_100", "pegasus", "whisper")
    options: ClassVar[dict[str, Any]] = {}

    @classmethod
    def own_rules(cls, cell: Cell) -> str:
        """None but that of a single beam: our beam search finds what that of ``generate()`` finds."""
        return greedy_rule(cell)

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
        from transformers import AutoModelForSeq2SeqLM, AutoModelForSpeechSeq2Seq, GenerationConfig
        from transformers.utils import logging

        from strategies import DTYPES, config_of
        from strategies.models.torch_settings import use_tf32

        use_tf32(cell.tf32)
        logging.disable_progress_bar()  # type: ignore[no-untyped-call]
        self._of = config_of(cell.model)
        reads: Any = AutoModelForSpeechSeq2Seq if self._of.mel_bins is not None else AutoModelForSeq2SeqLM
        loaded: Any = reads.from_pretrained(checkpoint, local_files_only=True, dtype=DTYPES[cell.dtype])
        self.model: Any = loaded.eval().to(cell.device)
        # Else it would fill in what the settings given with a call leave open.
        self.model.generation_config = GenerationConfig()  # type: ignore[no-untyped-call]
        self._cell = cell
        self._marks: Marks | None = None
        self.model.get_encoder().register_forward_hook(self._encoded)
        self._config: Any = GenerationConfig(  # type: ignore[no-untyped-call]
            do_sample=False,
            max_new_tokens=cell.tgt_len,
            **search_options(cell.search),
            **rule_options(self._of, cell.stop),
            **self.options,
        )
        self._has_beams: bool = self._config.num_beams > 1
        self._first = True

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Call ``generate()`` once. In the first round another call follows, untimed, which returns the scores."""
        from ..timing.clock import CpuClock

        given = self._given(source)
        self._marks = marks = Marks(self.clock)
        streams = isinstance(self.clock, CpuClock) and not self._has_beams
        marks.start()
        token_RN = self._generate(given, stop, marks if streams else None, None if streams else marks)
        marks_s = marks.ended(marks.steps if self._has_beams else token_RN.shape[1] - self._of.prefix_len)
        self._marks = None
        rows = [self._to_end(row) if stop == "eos" else row for row in token_RN[:, self._of.prefix_len :].tolist()]
        scores = self._scores(given, stop) if self._first else None
        self._first = False
        return Decoded(rows, marks_s, self.clock.every_step, scores)

    def _scores(self, given: Mapping[str, Tensor], stop: Literal["fixed", "eos"]) -> list[float] | None:
        """The score of each sequence, None where there are none.

        ``generate()`` returns them only together with a copy of all log-probabilities at every step. Who wants the
        sequences alone does not pay for that, so no timed call does. Where the copies are larger than
        ``SCORES_BYTES_MAX``, scores are left out.
        """
        rows = self._cell.batch_size * self._config.num_beams
        if not self._has_beams or 4 * rows * self._of.vocab_size * self._cell.tgt_len > SCORES_BYTES_MAX:
            return None
        config = copy.deepcopy(self._config)
        config.return_dict_in_generate = config.output_scores = True
        found: list[float] = self._generate(given, stop, config=config).sequences_scores.tolist()
        return found

    def peak_memory_bytes(self, source: Source, stop: Literal["fixed", "eos"]) -> int | None:
        """As of our own strategies: what one call adds to the weights, its source not counted."""
        from ..probes.memory import peak_memory

        given = self._given(source)
        self._generate(given, stop)  # at the first call, libraries ask the allocator for workspaces that they keep
        if hasattr(self.model, "_cache"):  # a static cache that earlier versions keep for the next call
            del self.model._cache
        with peak_memory(self._cell.device) as memory:
            self._generate(given, stop)
        return memory.peak_bytes

    def _given(self, source: Source) -> dict[str, Tensor]:
        """Source, mask and, where the model has one, the decoder's prefix, on the device."""
        import numpy as np
        import torch

        if isinstance(source, np.ndarray):
            given = {"input_features": torch.from_numpy(source).to(self.model.dtype)}
        else:
            lengths = torch.tensor([len(row) for row in source])
            mask_BS = (torch.arange(self._cell.src_len) < lengths[:, None]).long()
            src_BS = torch.full(mask_BS.shape, self._of.pad_id)
            src_BS[mask_BS.bool()] = torch.tensor([number for row in source for number in row])
            given = {"input_ids": src_BS, "attention_mask": mask_BS}
        if self._of.prefix_ids:
            given["decoder_input_ids"] = torch.tensor([[self._of.start_id, *self._of.prefix_ids]] * len(source))
        return {name: tensor.to(self._cell.device) for name, tensor in given.items()}

    def _generate(
        self,
        given: Mapping[str, Tensor],
        stop: Literal["fixed", "eos"],
        streamer: Marks | None = None,
        scored: Marks | None = None,
        config: Any = None,
    ) -> Any:
        """Call ``generate()``: int64 [B * R, P + N], the prefix first. ``scored`` marks each step's scores."""
        from transformers import GenerationMixin, LogitsProcessorList

        # Whisper's own method drops the prompt and adds rules.
        generate = self.model.generate
        if self._of.mel_bins is not None:
            generate = partial(GenerationMixin.generate, self.model)
        processors = [Scores(self._of.eos_ids if stop == "fixed" else (), scored)] if stop == "fixed" or scored else []
        return generate(
            **given,
            generation_config=config or self._config,
            logits_processor=LogitsProcessorList(processors),
            streamer=streamer,
        )

    def _encoded(self, *_: Any) -> None:
        if self._marks is not None:
            self._marks.encoded()

    def _to_end(self, row: list[int]) -> list[int]:
        end = next((place for place, number in enumerate(row) if number in self._of.eos_ids), len(row))
        return row[: end + 1]
