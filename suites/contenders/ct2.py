"""CTranslate2's Translator, greedy, on a converted checkpoint that is made once and kept beside the original."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..store.files import made_once
from .contender import Contender, Decoded, UnavailableError, register

if TYPE_CHECKING:
    from ..settings.cells import Cell


def converted(checkpoint: Path) -> Path:
    """Path of the checkpoint converted to CTranslate2's format in float32; it is converted if that is not there yet."""

    def convert(part: Path) -> None:
        from ctranslate2.converters import TransformersConverter

        TransformersConverter(str(checkpoint)).convert(str(part))

    return made_once(checkpoint.with_name("ctranslate2"), convert)


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

    CTranslate2 calls back once per sentence and step, after choosing the token; the first call of a step is its end.
    Sentences that have ended leave the batch. In our strategies they stay; with a fixed length none ends.

    On CUDA, too, the marks are the host's. CTranslate2 works on a stream of its own, on which no event of torch can be
    recorded, and it has each token on the host before it calls back, so the device has nothing left to do then. Rounds
    without step marks call back as often and note the first call alone.
    """

    requires: ClassVar[tuple[str, ...]] = ("ctranslate2", "transformers")
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    compute_types: ClassVar[Mapping[str, str]] = {}
    """CTranslate2's compute type for each element type of a cell."""

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load with the threads of the cell.

        Raises RuntimeError if this CPU computes in another type, and UnavailableError if a GPU, or CTranslate2's build
        or libraries for it, cannot compute in this one.
        """
        import ctranslate2

        from strategies import config_of

        compute_type = self.compute_types[cell.dtype]
        if cell.device == "cuda":
            require_cuda(ctranslate2, compute_type)
        self._cell = cell
        self._ends = [str(number) for number in config_of(cell.model).eos_ids]
        with told_of_libraries():
            self._translator: Any = ctranslate2.Translator(
                str(converted(checkpoint)),
                device=cell.device,
                compute_type=compute_type,
                inter_threads=1,
                intra_threads=cell.threads,
            )
            if cell.device == "cuda":  # which loads the libraries of products
                self.round([[0] * cell.src_len] * cell.batch_size, "fixed")
        if not self._translator.compute_type.startswith(compute_type):
            raise RuntimeError(
                f"CTranslate2 computes in {self._translator.compute_type}, not {compute_type}, on this "
                f"{'CPU' if cell.device == 'cpu' else 'GPU'}"
            )

    def round(self, src_ids: Sequence[Sequence[int]], stop: Literal["fixed", "eos"]) -> Decoded:
        """Call ``translate_batch`` once. With a fixed length, the minimal length equals the maximal one."""
        words = [list(map(str, row)) for row in src_ids]
        steps_s: list[float] = []
        every_step = self.clock.every_step

        def told(step: Any) -> bool:
            if step.step == len(steps_s) and (every_step or not steps_s):
                steps_s.append(time.perf_counter())
            return False

        start = time.perf_counter()
        results = self._translator.translate_batch(
            words,
            beam_size=1,
            max_input_length=0,
            max_decoding_length=self._cell.tgt_len,
            min_decoding_length=self._cell.tgt_len if stop == "fixed" else 0,
            return_end_token=True,
            end_token=self._ends,
            callback=told,
        )
        end = time.perf_counter()
        steps_s = [*steps_s[:-1], end] if every_step else [*steps_s, end]
        rows = [list(map(int, result.hypotheses[0])) for result in results]
        return Decoded(rows, [0.0, math.nan, *(step - start for step in steps_s)], every_step)


@register("ctranslate2_float32")
class Float32(CTranslate2):
    """CTranslate2 Translator, greedy, float32."""

    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32",)}
    compute_types: ClassVar[Mapping[str, str]] = {"fp32": "float32"}


@register("ctranslate2_half")
class Half(CTranslate2):
    """CTranslate2 Translator on CUDA, greedy, bfloat16 or float16, as the cell's type is."""

    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cuda": ("bf16", "fp16")}
    compute_types: ClassVar[Mapping[str, str]] = {"bf16": "bfloat16", "fp16": "float16"}


@register("ctranslate2_int8")
class Int8(CTranslate2):
    """CTranslate2 Translator, greedy, weights quantized to int8 when they are loaded."""

    dtypes: ClassVar[Mapping[str, tuple[str, ...]]] = {"cpu": ("fp32",), "cuda": ("fp32", "bf16", "fp16")}
    exact: ClassVar[bool] = False
    weight_bytes: ClassVar[int | None] = 1
    compute_types: ClassVar[Mapping[str, str]] = {"fp32": "int8", "bf16": "int8_bfloat16", "fp16": "int8_float16"}
