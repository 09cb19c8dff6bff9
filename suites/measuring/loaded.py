"""The model of a cell with its kernel, kept for the next cell if that needs the same one."""

from __future__ import annotations

from strategies import DTYPES, config_of, load_model
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.kernels.attention_kernel import use_attention
from strategies.models.kernels.linears import Linears, use_linear
from strategies.models.kernels.narrow import use_weights
from strategies.models.torch_settings import use_tf32

from ..settings.cells import Cell

_kept: dict[tuple[object, ...], tuple[EncoderDecoder, Linears]] = {}
"""The last model, by what it was made of. It is dropped before another is made: memory may not hold both."""


def loaded(cell: Cell, compiled: bool) -> tuple[EncoderDecoder, Linears]:
    """Return the model, and what its kernel holds and chose. ``compiled``: some of its steps will be compiled.

    torch's settings for the process are those of the cell from then on. Raises ModelError.
    """
    rows = _rows(cell)
    made_of = cell.model, cell.dtype, cell.device, cell.seed, cell.linear, cell.weights, rows, compiled
    if made_of not in _kept:
        _kept.clear()
        model = load_model(cell.model, DTYPES[cell.dtype], cell.device, cell.seed)
        if cell.weights:
            _kept[made_of] = model, Linears(use_weights(model, cell.weights, cell.linear))
        else:
            _kept[made_of] = model, use_linear(model, cell.linear, *(rows or (1, 1)), compiled=compiled)
    # Only now, because loading the first model on CUDA sets torch's defaults.
    use_attention(_kept[made_of][0], cell.attention)
    use_tf32(cell.tf32)
    return _kept[made_of]


def _rows(cell: Cell) -> tuple[int, int] | None:
    """(rows that a cached step feeds, most rows of any product), on which the choice of a kernel depends.

    Cells with equal rows share a model. None for torch's kernel, which does not depend on them.
    """
    if cell.linear == "torch":
        return None
    return cell.rows, cell.rows_max(config_of(cell.model)) if cell.linear == "auto" else cell.rows
