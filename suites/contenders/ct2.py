"""CTranslate2's Translator, on a converted checkpoint that is made once and kept beside the original."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from strategies.search.options import Beam

from .blank import blank_source
from .contender import Contender, register
from .ct2_differences import PATIENCE, own_rule, why_not_decoded
from .ct2_whisper import decode_features
from .decoded import Decoded
from .errors import UnavailableError

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source


def require_cuda(ctranslate2: Any, compute_type: str) -> None:
    """Raise UnavailableError if this build of CTranslate2 finds no CUDA device, or none that has ``compute_type``."""
    if not ctranslate2.get_cuda_device_count():
        raise UnavailableError(
            f"CTranslate2 {ctranslate2.__version__} finds no CUDA device: it was built without CUDA, or for a newer "
            "driver than this one"
        )
    known = ctranslate2.get_supported_compute_types("cuda")
    if compute_type not in known:
        raise UnavailableError(f"CTranslate2 has no {compute_type} on this GPU; it has {', '.join(sorted(known))}")


@contextmanager
def told_of_libraries() -> Iterator[None]:
    """Turn CTranslate2's error about a shared library into UnavailableError.

    It opens cuBLAS of the CUDA that it was built for, by name. torch for another CUDA brings another one.
    """
    try:
        yield
    except RuntimeError as error:
        if "is not found or cannot be loaded" not in str(error):
            raise
        raise UnavailableError(f"CTranslate2: {error}; install that version of it, or torch for that CUDA") from None


class CTranslate2(Contender):
    """Base of all. Marks: start, none at the encoder's end, the end of each step, the last when the call returns.

    For greedy search CTranslate2 calls back once per sentence and step, after choosing the token; the first call of a
    step is its end. The decoder's prefix is forced token by token, in steps that come before the first mark of a step.
    With beams it calls nobody back: the start and the return are the only marks. Sentences that have
    ended leave the batch. In our strategies they stay; with a fixed length none ends.

    On CUDA, too, the marks are the host's. CTranslate2 works on a stream of its own, on which no event of torch can be
    recorded, and it has each token on the host before it calls back, so the device has nothing left to do then. Rounds
    without step marks call back as often and note the first call alone.
    """

    requires: ClassVar[tuple[str, ...]] = ("ctranslate2", "transformers")
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    searches: ClassVar[tuple[str, ...]] = ("greedy", "beam")
    architectures: ClassVar[tuple[str, ...]] = ("t5", "marian", "bart", "mbart", "m2m_100", "pegasus", "whisper")
    compute_types: ClassVar[Mapping[str, str]] = {}
    """CTranslate2's compute type for each element type of a cell."""

    @classmethod
    def own_rules(cls, cell: Cell) -> str:
        """Name the first rule of CTranslate2's beam search that may lead to other sequences than ours in this cell."""
        from strategies import config_of

        return own_rule(cell, config_of(cell.model))

    @classmethod
    def supports(cls, cell: Cell) -> str:
        """Not models that it does not decode as transformers does."""
        from strategies import config_of

        return why_not_decoded(config_of(cell.model))

    @property
    def converted(self) -> str:
        """The name of the folder in CTranslate2's format."""
        from .exported.ct2_folder import ct2_name

        return ct2_name()

    def convert(self, checkpoint: Path) -> None:
        """Make the folder in CTranslate2's format."""
        from .exported.ct2_folder import ct2_folder

        ct2_folder(checkpoint)

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load with the threads of the cell.

        Raises RuntimeError if this CPU computes in another type, and UnavailableError if a GPU, or CTranslate2's build
        or libraries for it, cannot compute in this one.
        """
        import ctranslate2

        from strategies import config_of

        from .exported.ct2_folder import ct2_folder

        compute_type = self.compute_types[cell.dtype]
        if cell.device == "cuda":
            require_cuda(ctranslate2, compute_type)
        self._cell = cell
        self._of = config_of(cell.model)
        kind = ctranslate2.Translator if self._of.mel_bins is None else ctranslate2.models.Whisper
        with told_of_libraries():
            self._translator: Any = kind(
                str(ct2_folder(checkpoint)),
                device=cell.device,
                compute_type=compute_type,
                inter_threads=1,
                intra_threads=cell.threads,
            )
            if cell.device == "cuda":  # which loads the libraries of products
                self.round(blank_source(cell, self._of), "fixed")
        if not self._translator.compute_type.startswith(compute_type):
            raise RuntimeError(
                f"CTranslate2 computes in {self._translator.compute_type}, not {compute_type}, on this "
                f"{'CPU' if cell.device == 'cpu' else 'GPU'}"
            )

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Call the library once.

        The model's rules of choice are options of the call, except for the end that is forced at the last step: it is
        put in the place of the token that was chosen there, in rows that have not ended.
        """
        search, config, tgt_len = self._cell.search, self._of, self._cell.tgt_len
        options: dict[str, Any] = {"beam_size": 1}
        if isinstance(search, Beam) and search.num_beams > 1:
            options = {
                "beam_size": search.num_beams,
                "num_hypotheses": search.num_return,
                "length_penalty": search.length_penalty,
                "patience": PATIENCE[search.early_stopping],
                "return_scores": True,
            }
        if isinstance(source, Sequence):
            decoded = self._translate(source, stop, options)
        else:
            decoded = decode_features(self._translator, config, source, tgt_len, stop, options)
        if stop == "eos" and config.forced_eos_id is not None:
            for row in decoded.token_ids:
                if len(row) == tgt_len and row[-1] not in config.eos_ids:
                    row[-1] = config.forced_eos_id
        return decoded

    def _translate(
        self, source: Sequence[Sequence[int]], stop: Literal["fixed", "eos"], options: dict[str, Any]
    ) -> Decoded:
        """Call ``translate_batch``. With a fixed length, the minimal length equals the maximal one."""
        config = self._of
        forced, has_beams = len(config.prefix_ids), options["beam_size"] > 1
        words = [list(map(str, row)) for row in source]
        steps_s: list[float] = []
        every_step = self.clock.every_step and not has_beams

        def told(step: Any) -> bool:
            if step.step == forced + len(steps_s) and (every_step or not steps_s):
                steps_s.append(time.perf_counter())
            return False

        if not has_beams:
            options = options | {"callback": told}
        if config.prefix_ids:
            options["target_prefix"] = [list(map(str, config.prefix_ids))] * len(words)
        padding = {config.pad_id} if config.architecture == "marian" else set()  # which its vocabulary does not hold
        if never := set(config.suppress_ids) - padding:
            options["suppress_sequences"] = [[str(number)] for number in never]
        longest = forced + self._cell.tgt_len
        start = time.perf_counter()
        results = self._translator.translate_batch(
            words,
            max_input_length=0,
            max_decoding_length=longest,
            min_decoding_length=longest if stop == "fixed" else 0,
            return_end_token=True,
            end_token=list(map(str, config.eos_ids)),
            **options,
        )
        end = time.perf_counter()
        rows = [list(map(int, hypothesis[forced:])) for result in results for hypothesis in result.hypotheses]
        if has_beams:
            scores = [score for result in results for score in result.scores]
            return Decoded(rows, [0.0, math.nan, math.nan, end - start], False, scores)
        steps_s = [*steps_s[:-1], end] if every_step else [*steps_s, end]
        return Decoded(rows, [0.0, math.nan, *(step - start for step in steps_s)], every_step)


@register("ctranslate2_float32")
class Float32(CTranslate2):
    """CTranslate2 Translator, float32."""

    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32",)}
    compute_types: ClassVar[Mapping[str, str]] = {"fp32": "float32"}


@register("ctranslate2_half")
class Half(CTranslate2):
    """CTranslate2 Translator on CUDA, bfloat16 or float16, as the cell's type is."""

    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cuda": ("bf16", "fp16")}
    compute_types: ClassVar[Mapping[str, str]] = {"bf16": "bfloat16", "fp16": "float16"}


@register("ctranslate2_int8")
class Int8(CTranslate2):
    """CTranslate2 Translator, weights quantized to int8 when they are loaded."""

    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16")}
    exact: ClassVar[bool] = False
    weight_bytes: ClassVar[int | None] = 1
    compute_types: ClassVar[Mapping[str, str]] = {"fp32": "int8", "bf16": "int8_bfloat16", "fp16": "int8_float16"}
