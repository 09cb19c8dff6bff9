"""What the recorder of a running model keeps: matrix products, copies, and what stores did with rows of K and V."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field, replace

from strategies.models.costs import Product

from .stored_rows import Rows


@dataclass(frozen=True)
class ProductRecord:
    """One matrix product that ran: [rows, inner] x [inner, cols], ``product.batch`` times.

    ``path`` names the module that asked for it. ``product.role`` is the path without layers (``role_of``); the two
    products of an attention, told apart by the softmax between them, end in ``.scores`` and ``.context``.
    ``input_bytes`` is the size of the first factor; that of a convolution is its input, of which neighbouring rows
    hold the same elements. The operand is the second factor: the weight in a plain product, K
    or V in attention (as stored, if several query heads share them). The scores that a fused attention keeps inside its
    kernel count 0 bytes.
    """

    product: Product
    path: str
    input_bytes: int
    operand_bytes: int
    output_bytes: int
    operand_address: int


@dataclass(frozen=True)
class CopyRecord:
    """One operator that copied a tensor: role and path as in ``ProductRecord``, shape, and number of bytes written."""

    role: str
    path: str
    operator: str
    shape: tuple[int, ...]
    written_bytes: int


@dataclass(frozen=True)
class RowsRecord:
    """One operator of a store that took, copied or expanded rows of K and V (``stored_rows``), and its role."""

    role: str
    rows: Rows


@dataclass
class Recording:
    """Products and copies of a model while it was recorded, in order, and what stores did with rows of K and V."""

    products: list[ProductRecord] = field(default_factory=list)
    copies: list[CopyRecord] = field(default_factory=list)
    rows: list[RowsRecord] = field(default_factory=list)


def tally(records: Iterable[ProductRecord]) -> list[Product]:
    """List the products of ``records``, sorted; equal products are merged into one with their count."""
    return sorted(replace(product, count=n) for product, n in Counter(record.product for record in records).items())
