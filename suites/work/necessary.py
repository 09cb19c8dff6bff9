"""The work that no exact decoder can do without, in one cell, by the same formulas as that of a strategy."""

from __future__ import annotations

from dataclasses import replace

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models import traffic

from ..settings.cells import Cell
from .formulas import Formulas, formulas


class _Necessary(Strategy):
    """A growing cache that copies nothing, neither to grow nor for beams: one that adds nothing to what is needed."""

    def rows_reordered(self, k: int) -> int:
        """None."""
        return 0


def necessary(config: ModelConfig, cell: Cell, weight_bytes: int | None = None) -> Formulas:
    """Work of any exact incremental decoder in this cell: one row per step, k keys, cross K/V once, nothing copied.

    With beams each has a row, and they share the cross K/V.

    ``weight_bytes`` is the size of one element of the decoder's weights, where it differs from that of the cell's
    type. By default it is that of the cell's type: only this project's own strategies read a cell's narrower weights.
    """
    found = formulas(config, cell, _Necessary())
    if weight_bytes is None and not cell.weights:
        return found
    weight_bytes = weight_bytes or DTYPES[cell.dtype].itemsize
    ours = cell.weight_width
    cross = traffic.kv_bytes(config, cell.batch_size, cell.src_len, DTYPES[cell.dtype].itemsize)
    return replace(
        found,
        prefill_bytes=(found.prefill_bytes - cross) * weight_bytes // ours + cross,
        weight_bytes=[step * weight_bytes // ours for step in found.weight_bytes],
    )
