"""One decoder layer as data, read from a strategy's rows of the ledger: its products, and which K and V it keeps."""

from __future__ import annotations

from dataclasses import dataclass

import pandas as pd

from ...ledger.column import at_step
from ...ledger.expected import TRAINING
from ...ledger.symbols import LETTERS
from ...store.files import ResultsError
from .panels import prefilled
from .tensor import Mark, Tensor, factors, mark_of, result

ROLES = (
    "self.qkv", "self.scores", "self.context", "self.out", "cross.q", "cross.kv", "cross.scores", "cross.context",
    "cross.out", "ffn.wi", "ffn.wo", "lm_head",
)  # fmt: skip
"""Roles of the products of a decoder layer, and of the one product after the last layer."""


@dataclass(frozen=True)
class Operation:
    """One matrix product. ``once``: it runs before the first step alone. ``grows_with`` is that of the ledger."""

    role: str
    left: Tensor
    right: Tensor
    grows_with: str
    once: bool

    @property
    def result(self) -> Tensor:
        """Shape of the result."""
        return result(self.left, self.right)

    @property
    def mark(self) -> Mark:
        """Mark of what the FLOPs of the product grow with."""
        return mark_of(self.grows_with.split())


@dataclass(frozen=True)
class Layer:
    """One decoder layer of a strategy at step ``k``, or of training, where ``k`` is None.

    ``layers`` is the number of such layers, ``sizes`` the number of each letter. ``appended`` and ``moved`` are rows of
    K in letters, "" if there are none; V has as many. So are the rows that beams make the layer copy: ``gathered`` to
    be read, and ``reordered`` before the step. ``has_table`` says whether a table is reordered in their place, and
    ``cross_reordered`` whether what is kept of the source is reordered too. ``prefilled`` are the rows of a prefix that
    prefill fed, and ``first`` is the k of the first step.
    """

    strategy: str
    k: int | None
    layers: int
    sizes: dict[str, int]
    operations: dict[str, Operation]
    appended: str
    moved: str
    gathered: str = ""
    reordered: str = ""
    has_table: bool = False
    cross_reordered: bool = False
    prefilled: int = 0
    first: int = 1

    def __getitem__(self, role: str) -> Operation:
        return self.operations[role]

    @property
    def each_time(self) -> list[Operation]:
        """Products of the step, or of training, without those of prefill."""
        return [operation for operation in self.operations.values() if not operation.once]

    @property
    def growing(self) -> list[Operation]:
        """Products of ``each_time`` that grow with k, or in training with N."""
        return [operation for operation in self.each_time if operation.mark == "grows"]

    @property
    def keys(self) -> Tensor:
        """K as self-attention reads it: [BH, keys, d], or [BG, keys, d] if query heads share K and V."""
        return self["self.scores"].right.swapped()

    @property
    def new(self) -> Tensor:
        """K of the rows that are fed, [BH, rows, d]; the rows are those of the cross-attention's query."""
        rows, (heads, _, size) = self["cross.q"].left, self.keys.letters
        numbers = self.keys.numbers[0], rows.numbers[1], self.keys.numbers[2]
        return Tensor((heads, rows.letters[1], size), numbers)

    @property
    def beams(self) -> int:
        """Beams of a sentence, W; 1 without beam search."""
        return self.sizes.get("W", 1)

    @property
    def cross_shared(self) -> bool:
        """Whether the beams of a sentence read the same cross-attention K and V."""
        return "W" not in self["cross.scores"].right.letters[0]

    @property
    def remembers(self) -> bool:
        """Whether K and V of earlier tokens are read rather than computed anew."""
        return self.appended not in ("", self.keys.letters[-2])


def can_draw(ledger: pd.DataFrame, strategy: str) -> bool:
    """Whether the strategy's rows of the ledger have all products of ``ROLES``."""
    return set(ROLES) <= set(ledger.loc[ledger["strategy"] == strategy, "role"])


def read_layer(ledger: pd.DataFrame, strategy: str, k: int, src_len: int) -> Layer:
    """Read the layer of ``strategy`` (or ``training``) at step k. Raises ResultsError if the ledger lacks a product."""
    rows = at_step(ledger, k, src_len)
    rows = rows[(rows["strategy"] == strategy) & (rows["part"] != "encoder")]
    products = rows[rows["kind"] != "copy"]
    found = {
        str(row["role"]): Operation(
            str(row["role"]),
            *factors(str(row["shape"]), str(row["shape_numbers"])),
            str(row["grows_with"]),
            row["phase"] == "prefill",
        )
        for row in products.to_dict("records")
    }
    if missing := [role for role in ROLES if role not in found]:
        raise ResultsError(
            f"the ledger has no {', '.join(missing)} of {strategy} at k={k}, src_len={src_len}; "
            "give a step that was recorded, or write it again with `shapes`"
        )
    copies = {str(row["role"]): str(row["shape"]) for row in rows[rows["kind"] == "copy"].to_dict("records")}
    appended, moved = (*_rows(copies.get("self.append", "")), "", "")[:2]
    (gathered, *_), select = (*_rows(copies.get("self.gather", "")), ""), copies.get("self.select", "")
    has_table = bool(select) and not select.endswith(",d]")
    fed_before = prefilled(ledger, src_len)
    return Layer(
        strategy,
        None if strategy == TRAINING else k,
        int(products.loc[products["role"] == "self.qkv", "count"].iloc[0]),
        _sizes(found, int(rows["batch_size"].iloc[0])) | ({} if strategy == TRAINING else {"k": k}),
        {role: found[role] for role in ROLES},
        appended,
        moved,
        gathered,
        "" if has_table else "".join(_rows(select)),
        has_table,
        "cross.select" in copies,
        fed_before.get(strategy, 0),
        1 + max(fed_before.values(), default=0),
    )


def _rows(shape: str) -> list[str]:
    """Rows of each part of a copy's shape.

    >>> _rows("2 x [BH,1,d] + 2 x [BH,k-1,d]")
    ['1', 'k-1']
    """
    return [part.split(",")[1] for part in shape.split(" + ") if part]


def _sizes(operations: dict[str, Operation], batch: int) -> dict[str, int]:
    """Map each letter to its number, in the order in which letters are written."""
    pairs = {"B": batch}
    for operation in operations.values():
        for tensor in (operation.left, operation.right):
            pairs |= dict(zip(tensor.letters, tensor.numbers, strict=True))
    # Query heads that share K and V are rows of a product: its batch then counts heads of K and V.
    pairs["H"] = pairs["Hd"] // pairs["d"]
    if "BW" in pairs:
        pairs["W"] = pairs["BW"] // batch
    for sequences in ("B", "BW"):
        if f"{sequences}G" in pairs:
            pairs["G"] = pairs[f"{sequences}G"] // pairs[sequences]
    return {letter: pairs[letter] for letter in LETTERS if letter in pairs}
