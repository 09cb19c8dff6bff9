"""A source without content, for calls before anything is timed: it has the shape of the cell's."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from strategies import ModelConfig

    from ..settings.cells import Cell


def blank_source(cell: Cell, config: ModelConfig) -> Any:
    """What ``Contender.round`` is given: the same id everywhere, or an array of features."""
    from strategies.models.sources import placeholder

    source = placeholder(config, cell.batch_size, cell.src_len)
    return source.tolist() if source.dim() == 2 else source.numpy()
