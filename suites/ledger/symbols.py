"""Sizes as symbols: the formulas of ``costs`` evaluated on letters instead of numbers, and written for people.

>>> k = GROWING["k"]
>>> text(3 * SIZES["H"] * SIZES["d"]), text(SIZES["B"] * k)
('3Hd', 'Bk')
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TypeAlias

import sympy

from strategies.models.costs import Product

# Sympy has no types, so this stands for an expression or a plain number.
Expression: TypeAlias = sympy.Expr


def _symbols(names: Iterable[str]) -> dict[str, Expression]:
    return {name: sympy.Symbol(name, positive=True, integer=True) for name in names}


LETTERS = {
    "B": "batch", "W": "beams", "H": "heads", "G": "key/value heads", "d": "head size", "D": "model width",
    "F": "feed-forward width", "V": "vocabulary", "P": "tokens of the prefix, the start token among them",
    "Hₑ": "heads of the encoder", "dₑ": "head size of the encoder", "Fₑ": "feed-forward width of the encoder",
    "m": "features per frame",
    "S": "source length", "N": "target length", "C": "capacity of the buffer", "k": "keys attended at the step",
    "T": "rows fed at the step", "M": "keys read at the step", "R": "keys of the source read at the step",
    "O": "keys of the source whose scores are computed once more",
}  # fmt: skip
"""Meaning of each letter, in the order in which a product of letters is written.

The head size is d, so that K is the matrix of keys and k the step. Names of tensors in the code have it as K
(``q_BHTK``), since dimensions of names are upper case. The encoder has letters of its own where its sizes differ.
"""
SIZES = _symbols(("B", "W", "H", "Hₑ", "G", "d", "dₑ", "D", "F", "Fₑ", "V", "P", "m"))
"""Sizes that are the same for every sentence and step. G occurs only if a model has fewer K/V heads than heads, W only
if a sentence has several beams, P only if a sentence begins with several forced tokens."""
GROWING = _symbols("SNCkTMRO")
"""Sizes that depend on the sentence or the step.

T, M, R and O stand for facts of a strategy that no other letter gives.
"""
COPIED = {
    name: sympy.Symbol(name, integer=True, nonnegative=True)
    for name in (
        "moved", "gathered", "expanded", "reordered", "entries", "source_kept", "source_reordered", "row_bytes",
    )
}  # fmt: skip
"""What a step copies of each sequence. These letters occur in no product.

``moved`` are rows of K, and as many of V, that are copied to make room or to be read; ``gathered`` are those among them
that are copied to be read, and ``expanded`` are rows that are made anew to be read. A row of K and one of V persist in
``row_bytes`` together. Of the source ``source_kept`` rows are copied, because the others are dropped. Before the step,
``reordered`` rows, ``entries`` of an index table and ``source_reordered`` rows of what is kept of the source are copied
as the beams are reordered.
"""
_ORDER = {symbol: place for place, symbol in enumerate((SIZES | GROWING)[name] for name in (*SIZES, *GROWING))}


def evaluate(expression: Expression | int, numbers: dict[Expression, int]) -> int:
    """Return the value of an expression; every letter in it must have a number.

    >>> evaluate(2 * SIZES["B"] * GROWING["k"], {SIZES["B"]: 8, GROWING["k"]: 5})
    80
    """
    return int(sympy.sympify(expression).xreplace({s: sympy.Integer(n) for s, n in numbers.items()}))


def _factors(expression: Expression | int) -> tuple[int, list[tuple[Expression, int]]]:
    """(number in front, letters or sums of them with their powers in writing order), for a product."""
    number, rest = sympy.sympify(expression).as_coeff_Mul()
    powers = [(base, int(power)) for base, power in rest.as_powers_dict().items() if base != 1]
    return int(number), sorted(powers, key=lambda item: min(_ORDER[symbol] for symbol in item[0].free_symbols))


def text(expression: Expression | int) -> str:
    """Write a product of letters, a quotient, or a sum of them, as people do.

    >>> H, G, d, P = (SIZES[name] for name in ("H", "G", "d", "P"))
    >>> text(3 * H * d), text(H / G * GROWING["k"]), text(H * d + 2 * G * d), text(H * (P - 1))
    ('3Hd', 'Hk/G', 'Hd+2Gd', 'H(P-1)')
    """
    terms = sympy.Add.make_args(sympy.sympify(expression))
    if len(terms) > 1:
        in_order = sorted(terms, key=lambda term: [_ORDER[base] for base, _ in _factors(term)[1]] or [len(_ORDER)])
        return "+".join(map(text, in_order)).replace("+-", "-")
    number, powers = _factors(expression)
    bases = [(f"({text(base)})" if base.is_Add else str(base), power) for base, power in powers]
    over, under = ("".join(base * (sign * n) for base, n in bases) for sign in (1, -1))
    return f"{number if number != 1 or not over else ''}{over}{'/' if under else ''}{under}"


def grows_with(product: Product) -> str:
    """Return the growing letters of a product's FLOPs with spaces between (``k S``), or ``-`` if its size is fixed.

    T and M count as k, which they follow, and R and O as S.
    """
    powers = sympy.sympify(product.batch * product.rows * product.inner * product.cols).as_powers_dict()
    follows = {"T": "k", "M": "k", "R": "S", "O": "S"}
    letters = [follows.get(name, name) for name, base in GROWING.items() for _ in range(int(powers.get(base, 0)))]
    return " ".join(sorted(letters, key=lambda letter: ("k" != letter, letter))) or "-"


def sequences(product: Product) -> Expression:
    """Return the number of sequences whose rows a product with a weight computes: B, or B * W in a decoder with beams.

    The encoder reads B sentences, whatever the number of beams.
    """
    beams = SIZES["W"]
    return SIZES["B"] * (beams if beams in sympy.sympify(product.rows).free_symbols else 1)


def shape_text(product: Product, batch: Expression | int) -> str:
    """``[B,1,D] x [D,3Hd]`` for a product with a weight, ``[BH,1,d] x [BH,d,k]`` for a batched one; or with numbers.

    The rows of a product with a weight are written as ``batch`` sequences with as many rows each.
    """
    if product.is_attention:
        left, right = (product.batch, product.rows, product.inner), (product.batch, product.inner, product.cols)
    else:
        rows = sympy.sympify(product.rows) / batch
        left, right = (batch, rows, product.inner), (product.inner, product.cols)  # type: ignore[assignment]
    return " x ".join(f"[{','.join(map(text, side))}]" for side in (left, right))
