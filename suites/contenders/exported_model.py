"""What contenders have in common that decode our own model, converted once for their library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from .contender import Contender
from .decoded import Decoded

if TYPE_CHECKING:
    from ..settings.cells import Cell
    from ..settings.inputs import Source
    from .exported.loop import Run


class ExportedModel(Contender):
    """Base of ONNX Runtime and OpenVINO: an encoder, and a decoder step that keeps K and V in the library.

    Marks: start, the encoder's end with the cross-attention K/V, and the end of each step. The decoder's prefix is fed
    token by token, in calls that come before the first mark of a step. Sentences that have ended stay in the batch.
    """

    install: ClassVar[str] = "pip install 'decodebench[peers]'"
    architectures: ClassVar[tuple[str, ...]] = ("t5", "marian", "bart", "mbart", "m2m_100", "pegasus", "whisper")

    kind: ClassVar[str] = ""
    """What its folder's name begins with."""

    def folder(self, checkpoint: Path) -> Path:
        """The folder of its models, which are converted if they are not there yet."""
        raise NotImplementedError

    def convert(self, checkpoint: Path) -> None:
        """Make the folder of its models."""
        self.folder(checkpoint)

    def of_cell(self, cell: Cell) -> None:
        """Note the cell, its model's rules of choice, and the names of its cross-attention K/V."""
        from strategies import config_of

        from .exported.barred import Barred
        from .exported.example import layer_names

        self._cell, self._of = cell, config_of(cell.model)
        self._cross = layer_names("cross", self._of.decoder_layers)
        self._barred = {stop: Barred(self._of, cell.tgt_len, stop) for stop in ("fixed", "eos")}

    def given(self, source: Source) -> tuple[Any, Any]:
        """Sources as both libraries take them: ids int64 [B, S] or features [B, mel, 2 S], and their mask [B, S]."""
        import numpy as np

        from .exported.loop import padded

        if isinstance(source, np.ndarray):
            return source.astype(np.float32), np.ones((self._cell.batch_size, self._cell.src_len), bool)
        return padded(source, self._cell.src_len, self._of.pad_id)

    def decoded(self, run: Run, stop: Literal["fixed", "eos"]) -> Decoded:
        """Decode by calling ``run`` for each step, and return the tokens with the marks since the clock started."""
        from .exported.loop import decode

        cell, clock = self._cell, self.clock
        rows = decode(run, self._of, self._barred[stop], cell.batch_size, cell.tgt_len, clock.step, stop == "eos")
        return Decoded(rows, clock.marks_s())
