"""ONNX Runtime on our own model, which is converted once: its encoder, and one decoder step."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .contender import register
from .decoded import Decoded
from .exported_model import ExportedModel

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source


class OnnxRuntime(ExportedModel):
    """Base of both. A step is one call.

    K and V stay in the runtime: those of cross-attention are bound once for all steps, and those of each step as the
    past of the next. Tokens are chosen by NumPy in the memory into which the runtime writes logits, because a step
    whose last operator chooses them takes longer.

    Each model has a pool of threads, which go on spinning for a while when a call has ended. Those of the encoder are
    told to stop at once, because they would spin on the cores that the decoder's steps need.
    """

    requires: ClassVar[tuple[str, ...]] = ("onnxruntime", "onnx", "onnxscript")

    kind: ClassVar[str] = "onnxruntime"

    @property
    def converted(self) -> str:
        """The name of the folder of its models."""
        from .exported.onnx_folder import onnx_name

        return onnx_name(self.kind)

    def folder(self, checkpoint: Path) -> Path:
        """The folder of its models."""
        from .exported.onnx_folder import onnx_folder

        return onnx_folder(checkpoint)

    def prepare(self, checkpoint: Path, cell: Cell) -> None:
        """Load both models with the threads of the cell."""
        import numpy as np
        import onnxruntime

        from .exported.example import layer_names
        from .exported.onnx_folder import SOURCE, STEP

        folder = self.folder(checkpoint)
        self.of_cell(cell)

        def load(name: str, **more: str) -> Any:
            options = onnxruntime.SessionOptions()
            options.intra_op_num_threads, options.inter_op_num_threads = cell.threads, 1
            for key, value in more.items():
                options.add_session_config_entry(f"session.{key}", value)
            return onnxruntime.InferenceSession(folder / name, options, providers=["CPUExecutionProvider"])

        self._reads, self._step = load(SOURCE, force_spinning_stop="1"), load(STEP)
        layers = self._of.decoder_layers
        self._past, self._present = layer_names("past", layers), layer_names("present", layers)
        self._logits_BV = np.empty((cell.batch_size, self._of.vocab_size), np.float32)
        none = np.zeros((cell.batch_size, self._of.kv_heads, 0, self._of.d_kv), np.float32)
        self._value: Any = onnxruntime.OrtValue.ortvalue_from_numpy
        self._empty = self._value(none)

    def round(self, source: Source, stop: Literal["fixed", "eos"]) -> Decoded:
        """Call the encoder once, and the step once per token."""
        given, mask_BS = self.given(source)
        clock = self.clock
        clock.start()
        mask = self._value(mask_BS)
        reads, step = self._reads.io_binding(), self._step.io_binding()
        reads.bind_cpu_input("source", given)
        reads.bind_ortvalue_input("mask", mask)
        for name in self._cross:
            reads.bind_output(name)
        self._reads.run_with_iobinding(reads)
        clock.mark()
        for name, value in zip(self._cross, reads.get_outputs(), strict=True):
            step.bind_ortvalue_input(name, value)
        step.bind_ortvalue_input("mask", mask)
        logits = self._value(self._logits_BV)  # it shares the memory
        past = [self._empty] * len(self._past)

        def run(token_B1: Any) -> Any:
            nonlocal past
            step.bind_cpu_input("token", token_B1)
            for name, value in zip(self._past, past, strict=True):
                step.bind_ortvalue_input(name, value)
            step.clear_binding_outputs()
            step.bind_ortvalue_output("logits", logits)
            for name in self._present:
                step.bind_output(name)
            self._step.run_with_iobinding(step)
            past = step.get_outputs()[1:]
            return self._logits_BV

        return self.decoded(run, stop)


@register("onnxruntime_float32")
class Float32(OnnxRuntime):
    """ONNX Runtime with I/O binding, float32."""


@register("onnxruntime_int8")
class Int8(OnnxRuntime):
    """ONNX Runtime with I/O binding, weights quantized to int8 when the model is converted."""

    kind: ClassVar[str] = "onnxruntime_int8"
    exact: ClassVar[bool] = False
    weight_bytes: ClassVar[int | None] = 1

    def folder(self, checkpoint: Path) -> Path:
        """The folder of the quantized models."""
        from .exported.onnx_folder import onnx_int8_folder

        return onnx_int8_folder(checkpoint)
