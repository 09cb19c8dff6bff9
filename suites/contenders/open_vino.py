"""OpenVINO on our own model, which is converted once: its encoder, and one decoder step that keeps its K and V."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .contender import register
from .decoded import Decoded
from .errors import UnavailableError
from .exported_model import ExportedModel

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source


class OpenVino(ExportedModel):
    """Base of both. A step is one call, which appends to K and V inside the library.

    Cross-attention K/V are handed over once for all steps. Tokens are chosen by NumPy in the memory in which the
    library leaves the logits, which takes less than a tenth of the time of OpenVINO's own operator.

    Without its two options of precision, OpenVINO would compute in bfloat16 and keep K and V in 8 bits on some CPUs.
    """

    requires: ClassVar[tuple[str, ...]] = ("openvino",)
    options: ClassVar[Mapping[str, str]] = {}
    """Options of OpenVINO beside those that both have."""

    kind: ClassVar[str] = "openvino"

    @property
    def converted(self) -> str:
        """The name of the folder of its models."""
        from .exported.openvino_folder import openvino_name

        return openvino_name(self.kind)

    def folder(self, checkpoint: Path) -> Path:
        """The folder of its models."""
        from .exported.openvino_folder import openvino_folder

        return openvino_folder(checkpoint)

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load both models with the threads of the cell. Raises UnavailableError if OpenVINO takes other ones."""
        import openvino

        from .exported.openvino_folder import SOURCE, STEP

        folder = self.folder(checkpoint)
        self.of_cell(cell)
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

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Call the encoder once, and the step once per token."""
        import numpy as np

        reads, step = self._reads, self._step
        given, mask_BS = self.given(source)
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
        step.set_tensor("parent", self._tensor(np.arange(len(mask_BS), dtype=np.int32)))

        def run(token_B1: Any) -> Any:
            step.set_tensor("token", self._tensor(token_B1))
            step.infer()
            return step.get_tensor("logits").data

        return self.decoded(run, stop)


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
