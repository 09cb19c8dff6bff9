"""CTranslate2's Translator, greedy, on a converted checkpoint that is made once and kept beside the original."""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from ..store.files import made_once
from .contender import Contender, Decoded, register

if TYPE_CHECKING:
    from ..settings.cells import Cell


def converted(checkpoint: Path) -> Path:
    """Path of the checkpoint converted to CTranslate2's format in float32; it is converted if that is not there yet."""

    def convert(part: Path) -> None:
        from ctranslate2.converters import TransformersConverter

        TransformersConverter(str(checkpoint)).convert(str(part))

    return made_once(checkpoint.with_name("ctranslate2"), convert)


class CTranslate2(Contender):
    """Base of both. Marks: start, none at the encoder's end, the end of each step, the last when the call returns.

    CTranslate2 calls back once per sentence and step, after choosing the token; the first call of a step is its end.
    Sentences that have ended leave the batch. In our strategies they stay; with a fixed length none ends.
    """

    requires: ClassVar[tuple[str, ...]] = ("ctranslate2", "transformers")
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    compute_type: ClassVar[str] = "float32"

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load with the threads of the cell. Raises RuntimeError if this CPU computes in another type."""
        import ctranslate2

        from strategies import config_of

        self._cell = cell
        self._ends = [str(number) for number in config_of(cell.model).eos_ids]
        self._translator: Any = ctranslate2.Translator(
            str(converted(checkpoint)),
            device="cpu",
            compute_type=self.compute_type,
            inter_threads=1,
            intra_threads=cell.threads,
        )
        if not self._translator.compute_type.startswith(self.compute_type):
            raise RuntimeError(
                f"CTranslate2 computes in {self._translator.compute_type}, not {self.compute_type}, on this CPU"
            )

    def round(self, src_ids: Sequence[Sequence[int]], stop: Literal["fixed", "eos"]) -> Decoded:
        """Call ``translate_batch`` once. With a fixed length, the minimal length equals the maximal one."""
        words = [list(map(str, row)) for row in src_ids]
        steps_s: list[float] = []

        def told(step: Any) -> bool:
            if step.step == len(steps_s):
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
        steps_s[-1] = time.perf_counter()
        rows = [list(map(int, result.hypotheses[0])) for result in results]
        return Decoded(rows, [0.0, math.nan, *(step - start for step in steps_s)])


@register("ctranslate2_float32")
class Float32(CTranslate2):
    """CTranslate2 Translator, greedy, float32."""


@register("ctranslate2_int8")
class Int8(CTranslate2):
    """CTranslate2 Translator, greedy, weights quantized to int8 when they are loaded."""

    exact: ClassVar[bool] = False
    weight_bytes: ClassVar[int | None] = 1
    compute_type: ClassVar[str] = "int8"
