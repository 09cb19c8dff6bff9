"""Sums of products of letters as plain data, which a program without sympy, such as a page's script, can evaluate."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeAlias

import sympy

Polynomial: TypeAlias = list[tuple[int, dict[str, int]]]
"""Terms of a sum: a number, and the power of each letter that it is multiplied with. Powers may be negative."""


def polynomial(expression: Any) -> Polynomial:
    """Return a sum of products of letters as data; a plain number is a sum of one term, and 0 of none.

    >>> B, k = sympy.symbols("B k", positive=True)
    >>> polynomial(B * (3 * k - 1) + 2), polynomial(0)
    ([(3, {'B': 1, 'k': 1}), (2, {}), (-1, {'B': 1})], [])
    """
    terms = []
    for term in sympy.Add.make_args(sympy.expand(sympy.sympify(expression))):
        number, rest = term.as_coeff_Mul()
        powers = {str(base): int(power) for base, power in sorted(rest.as_powers_dict().items(), key=str) if base != 1}
        terms.append((int(number), powers))
    return sorted((term for term in terms if term[0]), key=lambda term: (term[0] < 0, str(term[1]), term[0]))


def evaluated(terms: Polynomial, numbers: Mapping[str, int]) -> int:
    """Return the value of a polynomial. Quotients must come out whole: those of formulas of shapes do.

    >>> evaluated([(3, {"B": 1, "k": 1}), (-1, {"B": 1})], {"B": 2, "k": 5})
    28
    """
    total = 0
    for number, powers in terms:
        over = number
        under = 1
        for letter, power in powers.items():
            over *= numbers[letter] ** max(power, 0)
            under *= numbers[letter] ** max(-power, 0)
        total += over // under
    return total
