"""Rows of the ledger, made from recordings: each product in letters and in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strategies.models.costs import Product

from ..work.role_names import part_of, role_name
from .copies import copy_rows
from .expected import Facts
from .recorded import Recorded
from .symbols import Expression, evaluate, grows_with, sequences, shape_text, text

COLUMNS = [
    "strategy", "phase", "k", "batch_size", "src_len", "tgt_len", "part", "role", "kind", "count",
    "shape", "batch_letters", "rows_letters", "inner_letters", "cols_letters",
    "shape_numbers", "batch", "rows", "inner", "cols",
    "flops", "input_bytes", "operand_bytes", "output_bytes", "grows_with", "when",
]  # fmt: skip
"""FLOPs and bytes are those of one product; it runs ``count`` times, once per layer. k is empty outside steps.

A step also has rows of kind ``copy``, which are no products (``copies.py``): the K and V that one layer writes and
moves, and with beams what is gathered and what is reordered.
"""
TEXT = [
    "strategy", "phase", "part", "role", "kind", "shape", "batch_letters", "rows_letters", "inner_letters",
    "cols_letters", "shape_numbers", "grows_with", "when",
]  # fmt: skip
WHEN = {"training": "once a sentence", "prefill": "once a sentence", "step": "every step"}


def rows_of(
    found: Recorded, letters: Sequence[Product], numbers: dict[Expression, int], known: Facts | None
) -> Iterator[dict[str, object]]:
    """Make one row per recorded product, with the equal product of the formula in letters; then the rows of copies."""
    by_role = {product.role: product for product in letters}
    name = {str(letter): number for letter, number in numbers.items()}
    case = {
        "strategy": found.strategy,
        "phase": found.phase,
        "k": found.k,
        "batch_size": name["B"],
        "src_len": name["S"],
        "tgt_len": name["N"],
        "when": WHEN[found.phase],
    }
    for product in found.products:
        letter, moved = by_role[product.role], found.bytes[product.role]
        role, batch = role_name(product.role), sequences(letter)
        yield {
            **case,
            "part": part_of(role),
            "role": role,
            "kind": "bGEMM" if product.is_attention else "GEMM",
            "count": product.count,
            "shape": shape_text(letter, batch),
            "shape_numbers": shape_text(product, evaluate(batch, numbers)),
            **{f"{d}_letters": text(getattr(letter, d)) for d in ("batch", "rows", "inner", "cols")},
            **{d: getattr(product, d) for d in ("batch", "rows", "inner", "cols")},
            "flops": product.flops // product.count,
            "input_bytes": moved.input,
            "operand_bytes": moved.operand,
            "output_bytes": moved.output,
            "grows_with": grows_with(letter),
        }
    if known is not None and found.stored is not None:
        for row in copy_rows(found, known, name):
            yield {**case, **row}
