"""A tensor's shape in letters and in numbers, and what makes it larger."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

Mark = Literal["grows", "S", "C", ""]
"""Larger at each further token; set by the source's length, or by the buffer's capacity; the same in every case."""


def mark_of(letters: Iterable[str]) -> Mark:
    """The strongest mark among ``letters``: sizes as written in a shape, or the ledger's ``grows_with`` in parts.

    >>> mark_of(["BH", "k", "S"]), mark_of(["B", "S", "D"]), mark_of(["B", "1", "3HK"])
    ('grows', 'S', '')
    """
    found = set("".join(letters))
    # T and M are k under a strategy's own rule; N is what training has in the place of k.
    if found & set("kTMN"):
        return "grows"
    return "S" if "S" in found else "C" if "C" in found else ""


@dataclass(frozen=True)
class Tensor:
    """Its sizes."""

    letters: tuple[str, ...]
    numbers: tuple[int, ...]

    @property
    def mark(self) -> Mark:
        """See ``mark_of``."""
        return mark_of(self.letters)

    @property
    def in_letters(self) -> str:
        """As the ledger writes it: ``[BH,1,k]``."""
        return f"[{','.join(self.letters)}]"

    @property
    def in_numbers(self) -> str:
        """``[8,1,64]``."""
        return f"[{','.join(map(str, self.numbers))}]"

    def swapped(self) -> Tensor:
        """Its last two sizes the other way round: K as it is stored, from K as scores read it."""
        *outer, first, last = range(len(self.letters))
        order = (*outer, last, first)
        return Tensor(tuple(self.letters[i] for i in order), tuple(self.numbers[i] for i in order))


def factors(shape: str, shape_numbers: str) -> tuple[Tensor, Tensor]:
    """The two factors of a product, from the ledger's columns.

    >>> left, right = factors("[BH,1,K] x [BH,K,k]", "[8,1,48] x [8,48,64]")
    >>> right.letters, left.numbers, right.swapped().in_letters
    (('BH', 'K', 'k'), (8, 1, 48), '[BH,k,K]')
    """
    letters, numbers = ([side.strip("[]").split(",") for side in text.split(" x ")] for text in (shape, shape_numbers))
    left, right = (Tensor(tuple(a), tuple(map(int, b))) for a, b in zip(letters, numbers, strict=True))
    return left, right


def result(left: Tensor, right: Tensor) -> Tensor:
    """The shape of their product.

    >>> result(*factors("[B,1,D] x [D,3HK]", "[2,1,192] x [192,576]")).in_letters
    '[B,1,3HK]'
    """
    return Tensor((*left.letters[:-1], right.letters[-1]), (*left.numbers[:-1], right.numbers[-1]))
