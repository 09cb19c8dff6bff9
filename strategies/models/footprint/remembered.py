"""What a strategy keeps at one step, as far as memory depends on it."""

from __future__ import annotations

from dataclasses import dataclass

from ..config import ModelConfig


@dataclass(frozen=True)
class Remembered:
    """What a strategy keeps at one step, by default the last, in rows of one layer's K or V.

    ``reserved_first`` rows persist before the first step and ``reserved_last`` after this step, in which ``copied``
    rows are copied to make room. ``rows`` and ``keys`` are T and M of the step. ``cross`` says whether cross K/V are
    cached; if not, the encoder's output is kept. All rows are of one sequence, and each sentence has ``beams`` of them.
    With ``cross_shared`` these keep one copy of what is kept of the source. In the step ``gathered`` rows are copied to
    be read, as they persist, and ``expanded`` rows are made in the model's type to be read. Before it ``moved`` rows
    are copied to reorder beams, into new tensors, and with ``cross_moved`` what is kept of the source too. ``entries``
    of index tables persist. ``choosing`` is the number of bytes that a search makes beside each logit.

    A row of K and one of V persist in ``row_bytes`` together, None where they are in the model's type. Cross K/V have
    ``cross_rows`` rows before the step, None for all S. In the step the scores of ``cross_observed`` keys of the source
    are computed once more, and ``cross_copied`` of its rows are copied because the others are dropped.
    """

    reserved_first: int
    reserved_last: int
    copied: int
    rows: int
    keys: int
    cross: bool
    beams: int = 1
    cross_shared: bool = True
    gathered: int = 0
    moved: int = 0
    cross_moved: bool = False
    entries: int = 0
    choosing: int = 0
    expanded: int = 0
    row_bytes: int | None = None
    cross_rows: int | None = None
    cross_observed: int = 0
    cross_copied: int = 0

    @property
    def copies(self) -> int:
        """Copies per sentence of what is kept of its source."""
        return 1 if self.cross_shared else self.beams

    def row_bytes_of(self, config: ModelConfig, value: int) -> int:
        """Bytes of one row of K and one of V of one sequence in one layer, with ``value`` bytes per element."""
        return 2 * config.kv_inner * value if self.row_bytes is None else self.row_bytes

    def elements_of_source(self, config: ModelConfig) -> int:
        """Elements that persist per source token."""
        return kv_width(config) if self.cross else config.d_model


def kv_width(config: ModelConfig) -> int:
    """Elements of one row of K and V in all decoder layers."""
    return 2 * config.kv_inner * config.decoder_layers
