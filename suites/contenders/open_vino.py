"""OpenVINO on our own model, which is converted once: its encoder, and one decoder step that keeps its K and V."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .contender import Contender, register
from .decoded import Decoded
from .errors import UnavailableError

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source


class OpenVino(Contender):
    """Base of both. Marks: start, the encoder's end with the cross-attention K/V, and the end of each step.

    A step is one call, which appends to K and V inside the library; cross-attention K/V are handed over once for all
    steps. Tokens are chosen by NumPy in the memory in which the library leaves the logits, which takes less than a
    tenth of the time of OpenVINO's own operator. The decoder's prefix is fed token by token, in calls that come before
    the first mark of a step. Sentences that have ended stay in the batch.

    Without its two options of precision, OpenVINO would compute in bfloat16 and keep K and V in 8 bits on some CPUs.
    """

    requires: ClassVar[tuple[str, ...]] = ("openvino",)
    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    architectures: ClassVar[tuple[str, ...]] = ("t5", "marian", "bart", "mbart", "m2m_100", "pegasus", "whisper")
    options: ClassVar[Mapping[str, str]] = {}
    """Options of OpenVINO beside those that both have."""

    kind: ClassVar[str] = "openvino"
    """What its folder's name begins with."""

    @property
    def converted(self) -> str:
        """The name of the folder of its models."""
        from .exported.openvino_folder import openvino_name

        return openvino_name(self.kind)

    def convert(self, checkpoint: Path) -> None:
        """Make the folder of its models."""
        self.folder(checkpoint)

    def folder(self, checkpoint: Path) -> Path:
        """The folder of its models."""
        from .exported.openvino_folder import openvino_folder

        return openvino_folder(checkpoint)

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load both models with the threads of the cell. Raises UnavailableError if OpenVINO takes other ones."""
        import openvino

        from strategies import config_of

        from .exported.barred import Barred
        from .exported.example import layer_names
        from .exported.openvino_folder import SOURCE, STEP

        folder, self._cell, self._of = self.folder(checkpoint), cell, config_of(cell.model)
        options = {
            "PERFORMANCE_HINT": "LATENCY",
            "NUM_STREAMS": "1",
            "INFERENCE_NUM_THREADS": str(cell.threads),
            "ENABLE_CPU_PINNING": "NO",
            "ENABLE_HYPER_THREADING": "YES",  # else threads beyond the number of physical cores are left out
            "INFERENCE_PRECISION_HINT": "f32",
            "KV_CACHE_PRECISION": "f32",
            **self.options,
        }
        core = openvino.Core()

        def load(name: str) -> Any:
            compiled = core.compile_model(folder / name, "CPU", options)
            if (taken := compiled.get_property("INFERENCE_NUM_THREADS")) != cell.threads:
                raise UnavailableError(
                    f"OpenVINO takes {taken} threads here, not threads={cell.threads}; "
                    f"give '{self.name}(threads={taken})' or '{self.name}(threads=best)'"
                )
            return compiled.create_infer_request()

        self._reads, self._step = load(SOURCE), load(STEP)
        self._tensor: Any = openvino.Tensor
        self._cross = layer_names("cross", self._of.decoder_layers)
        self._barred = {stop: Barred(self._of, cell.tgt_len, stop) for stop in ("fixed", "eos")}

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Call the encoder once, and the step once per token."""
        import numpy as np

        from .exported.loop import decode, padded

        cell, config, reads, step = self._cell, self._of, self._reads, self._step
        given: Any
        if isinstance(source, np.ndarray):
            given, mask_BS = source.astype(np.float32), np.ones((cell.batch_size, cell.src_len), bool)
        else:
            given, mask_BS = padded(source, cell.src_len, config.pad_id)
        clock = self.clock
        clock.start()
        mask = self._tensor(mask_BS)
        reads.set_tensor("source", self._tensor(given))
        reads.set_tensor("mask", mask)
        reads.infer()
        clock.mark()
        step.reset_state()
        for name in self._cross:
            step.set_tensor(name, reads.get_tensor(name))
        step.set_tensor("mask", mask)
        step.set_tensor("parent", self._tensor(np.arange(cell.batch_size, dtype=np.int32)))

        def run(token_B1: Any) -> Any:
            step.set_tensor("token", self._tensor(token_B1))
            step.infer()
            return step.get_tensor("logits").data

        rows = decode(run, config, self._barred[stop], cell.batch_size, cell.tgt_len, clock.step, stop == "eos")
        return Decoded(rows, clock.marks_s())


@register("openvino_float32")
class Float32(OpenVino):
    """OpenVINO with K and V as its state, float32."""


@register("openvino_int8")
class Int8(OpenVino):
    """OpenVINO with K and V as its state, weights quantized to int8 when the model is converted.

    Rows are quantized on the fly, in groups of 128 values with a scale of their own. Groups of 32 values, which are
    OpenVINO's default, took 10 to 20 % longer, and larger ones no less.
    """

    kind: ClassVar[str] = "openvino_int8"
    exact: ClassVar[bool] = False
    weight_bytes: ClassVar[int | None] = 1
    options: ClassVar[Mapping[str, str]] = {"DYNAMIC_QUANTIZATION_GROUP_SIZE": "128"}

    def folder(self, checkpoint: Path) -> Path:
        """The folder of the quantized models."""
        from .exported.openvino_folder import openvino_int8_folder

        return openvino_int8_folder(checkpoint)
