"""The shape of a tensor, in letters and in numbers, and what makes the tensor larger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["grows", "S", "C", ""]
"""What sets a size: it grows with each token, follows the source's length S or the buffer's capacity C, or is fixed."""


def mark_of(letters: Iterable[str]) -> Mark:
    """Find the strongest mark of ``letters``: the sizes of a shape, or the words of the ledger's ``grows_with``.

    >>> mark_of(["BH", "k", "S"]), mark_of(["B", "S", "D"]), mark_of(["B", "1", "3Hd"])
    ('grows', 'S', '')
    """
    found = set("".join(letters))
    # T and M are k under a strategy's own rule; N is what training has in the place of k.
    if found & set("kTMN"):
        return "grows"
    return "S" if "S" in found else "C" if "C" in found else ""


@dataclass(frozen=True)
class Tensor:
    """The sizes of one tensor."""

    letters: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def mark(self) -> Mark:
        """Mark of the tensor's sizes (``mark_of``)."""
        return mark_of(self.letters)

    @property
    def in_letters(self) -> str:
        """The shape in letters, as the ledger writes it: ``[BH,1,k]``."""
        return f"[{','.join(self.letters)}]"

    @property
    def in_numbers(self) -> str:
        """The shape in numbers: ``[8,1,64]``."""
        return f"[{','.join(map(str, self.numbers))}]"

    def swapped(self) -> Tensor:
        """The tensor with its last two sizes exchanged: K as it is stored, from K as the scores read it."""
        *outer, first, last = range(len(self.letters))
        order = (*outer, last, first)
        return Tensor(tuple(self.letters[i] for i in order), tuple(self.numbers[i] for i in order))


def factors(shape: str, shape_numbers: str) -> tuple[Tensor, Tensor]:
    """Read the two factors of a product from the ledger's columns.

    >>> left, right = factors("[BH,1,d] x [BH,d,k]", "[8,1,48] x [8,48,64]")
    >>> right.letters, left.numbers, right.swapped().in_letters
    (('BH', 'd', 'k'), (8, 1, 48), '[BH,k,d]')
    """
    letters, numbers = ([side.strip("[]").split(",") for side in text.split(" x ")] for text in (shape, shape_numbers))
    left, right = (Tensor(tuple(a), tuple(map(int, b))) for a, b in zip(letters, numbers, strict=True))
    return left, right


def result(left: Tensor, right: Tensor) -> Tensor:
    """The shape of the product of two tensors.

    >>> result(*factors("[B,1,D] x [D,3Hd]", "[2,1,192] x [192,576]")).in_letters
    '[B,1,3Hd]'
    """
    return Tensor((*left.letters[:-1], right.letters[-1]), (*left.numbers[:-1], right.numbers[-1]))
