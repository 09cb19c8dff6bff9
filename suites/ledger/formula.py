"""The ledger of a cell by formulas alone. It serves runs that were read from a folder, where no model is at hand."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pandas as pd

from strategies import DTYPES, ModelConfig, Strategy
from strategies.models.costs import CROSS_READ, Product
from strategies.models.front_end import FRAMES, KERNEL

from ..work.row_bytes import row_bytes
from . import expected
from .copies import selected, stored
from .expected import TRAINING, Facts, Phase
from .recorded import Bytes, Recorded
from .rows import COLUMNS, rows_of
from .sizes import values
from .symbols import Expression
from .verify import facts_of, formula_of, in_numbers

_STRIDES = {"encoder.front_end.conv1": 1, "encoder.front_end.conv2": FRAMES}
"""Frames from one row of a convolution to the next, of the ``KERNEL`` that each row holds."""
_DTYPE = {dtype.itemsize: dtype for dtype in DTYPES.values()}
"""A type of each width. What a row takes depends on the width alone."""


def formula_ledger(
    config: ModelConfig,
    strategies: Sequence[Strategy],
    batch: int,
    src_len: int,
    tgt_len: int,
    k: int,
    width: int,
    beams: int = 1,
) -> pd.DataFrame:
    """Return the ledger that ``make_ledger`` would record: training, and prefill and step k of every strategy.

    ``width`` is the number of bytes per element. Raises StrategyError if a strategy cannot hold ``tgt_len`` tokens.
    """
    sizes = values(config, beams, B=batch, S=src_len, N=tgt_len)
    rows = list(_phase(config, TRAINING, "training", None, None, sizes, width))
    for strategy in strategies:
        bound, known = strategy.bind(config.target_rows(tgt_len)), facts_of(strategy, beams)
        of_row = row_bytes(config, bound, _DTYPE[width])
        for phase, at in (("prefill", None), ("step", k)):
            numbers = {**sizes, **expected.numbers(bound, at, src_len, of_row, beams, config.prefix_len)}
            rows += _phase(config, strategy.label, phase, at, known, numbers, width)  # type: ignore[arg-type]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"k": "Int64"})


def _phase(
    config: ModelConfig,
    label: str,
    phase: Phase,
    k: int | None,
    known: Facts | None,
    numbers: dict[Expression, int],
    width: int,
) -> Iterator[dict[str, object]]:
    letters = formula_of(config, known, Recorded(label, phase, k, [], {}))
    products = in_numbers(letters, numbers)
    moved = {p.role: _bytes(p, width) for p in products}
    if phase != "step" or known is None:
        return rows_of(Recorded(label, phase, k, products, moved), letters, numbers, known)
    copied = stored(numbers, width), selected(config, known, numbers, width)
    return rows_of(Recorded(label, phase, k, products, moved, *copied), letters, numbers, known)


def _bytes(product: Product, width: int) -> Bytes:
    """Bytes that one product moves. Attention's scores stay inside the kernel and count none, unless they are read.

    Neighbouring rows of a convolution hold the same inputs, which are read once.
    """
    first, second, result = (
        width * product.batch * height * breadth
        for height, breadth in (
            (product.rows, product.inner),
            (product.inner, product.cols),
            (product.rows, product.cols),
        )
    )
    if product.role == f"{CROSS_READ}.scores":
        return Bytes(first, second, result)
    if product.is_attention and product.role.endswith("scores"):
        return Bytes(first, second, 0)
    stride = _STRIDES.get(product.role, KERNEL)
    return Bytes(0 if product.is_attention else first * stride // KERNEL, second, result)
