"""Rows of the ledger, made from recordings: each product in letters and in numbers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from strategies.models.costs import Product

from ..work.role_names import part_of, role_name
from .expected import Facts
from .recorded import Recorded
from .symbols import SIZES, Expression, grows_with, shape_text, text

COLUMNS = [
    "strategy", "phase", "k", "batch_size", "src_len", "tgt_len", "part", "role", "kind", "count",
    "shape", "batch_letters", "rows_letters", "inner_letters", "cols_letters",
    "shape_numbers", "batch", "rows", "inner", "cols",
    "flops", "input_bytes", "operand_bytes", "output_bytes", "grows_with", "when",
]  # fmt: skip
"""FLOPs and bytes are those of one product; it runs ``count`` times, once per layer. k is empty outside steps.

A step also has one row of kind ``copy``, which is no product: the K and V that one layer writes, and those that it
moves to make room.
"""
TEXT = [
    "strategy", "phase", "part", "role", "kind", "shape", "batch_letters", "rows_letters", "inner_letters",
    "cols_letters", "shape_numbers", "grows_with", "when",
]  # fmt: skip
WHEN = {"training": "once a sentence", "prefill": "once a sentence", "step": "every step"}


def rows_of(
    found: Recorded, letters: Sequence[Product], numbers: dict[Expression, int], known: Facts | None
) -> Iterator[dict[str, object]]:
    """Make one row per recorded product, with the equal product of the formula in letters; then the row of copies."""
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
        role = role_name(product.role)
        yield {
            **case,
            "part": part_of(role),
            "role": role,
            "kind": "bGEMM" if product.is_attention else "GEMM",
            "count": product.count,
            "shape": shape_text(letter, SIZES["B"]),
            "shape_numbers": shape_text(product, name["B"]),
            **{f"{d}_letters": text(getattr(letter, d)) for d in ("batch", "rows", "inner", "cols")},
            **{d: getattr(product, d) for d in ("batch", "rows", "inner", "cols")},
            "flops": product.flops // product.count,
            "input_bytes": moved.input,
            "operand_bytes": moved.operand,
            "output_bytes": moved.output,
            "grows_with": grows_with(letter),
        }
    if known is not None and found.stored is not None:
        yield {**case, **_copy_row(found, known, name)}


def _copy_row(found: Recorded, known: Facts, name: dict[str, int]) -> dict[str, object]:
    """The row for the new rows of K and V that one layer writes, and the old ones that it moves to make room."""
    assert found.stored is not None
    letter = "G" if "G" in name else "H"
    heads, size = name["B"] * name[letter], name["d"]
    new, moved = f"[B{letter},{text(known.rows)},d]", f"[B{letter},{known.copied},d]"
    rows = name["T"] + name["moved"]
    return {
        "part": "self",
        "role": "self.append",
        "kind": "copy",
        "count": sum(p.count for p in found.products if p.role == "decoder.self_attn.qkv"),
        "shape": f"2 x {new}" + (f" + 2 x {moved}" if known.copied else ""),
        "shape_numbers": f"2 x [{heads},{rows},{size}]",
        "batch": 2 * heads,
        "rows": rows,
        "inner": 0,
        "cols": size,
        "batch_letters": f"2B{letter}",
        "rows_letters": "",
        "inner_letters": "",
        "cols_letters": "d",
        "flops": 0,
        "input_bytes": found.stored.input,
        "operand_bytes": 0,
        "output_bytes": found.stored.output,
        "grows_with": "k" if known.copied or not known.rows.is_number else "-",
    }
