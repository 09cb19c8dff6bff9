"""Sheets of text and numbers made from a ledger. Strategies with equal products share a column."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..words.labels import listed
from ..words.quantity import quantity
from ..work.role_names import in_model_order
from .column import Column, row_growth
from .copies import BEAM_ROLES, READ_ROLES
from .expected import TRAINING


@dataclass(frozen=True)
class Sheet:
    """A small table for people: a title, a header, rows of text, a note, and a key that explains its columns."""

    title: str
    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    note: str = ""
    key: Sequence[str] = ()


def growth(found: Sequence[Column]) -> Sheet:
    """Sheet of roles by columns: the letters that a product grows with, in brackets if it runs once per sentence."""
    roles = in_model_order(role for column in found for role in column.products)
    rows = []
    for role in roles:
        cells = [column.products.get(role) for column in found]
        rows.append([role, *(_tag(cell) for cell in cells)])
    return Sheet(
        "What each matrix product grows with",
        ["product", *(str(number) for number in range(1, len(found) + 1))],
        rows,
        _after(
            "k keys attended, S source, N target length, C capacity, - fixed size. In brackets: once a sentence; else "
            "every step.",
            found,
        ),
        [f"{number}  {column.name}" for number, column in enumerate(found, 1)],
    )


def _tag(row: dict[str, Any] | None) -> str:
    if row is None:
        return ""
    return f"({row['grows_with']})" if row["when"] == "once a sentence" else str(row["grows_with"])


def products(found: Sequence[Column], k: int) -> Sheet:
    """Sheet of shapes: the different ones of each role, what one product costs, and which columns run it."""
    rows: list[list[str]] = []
    for role in in_model_order(role for column in found for role in column.products):
        if role.startswith("encoder.") and not rows:
            rows.append(["encoder"])
        if not role.startswith("encoder.") and ["decoder"] not in rows:
            rows.append(["decoder"])
        variants: dict[tuple[str, str], list[int]] = {}
        for number, column in enumerate(found, 1):
            if row := column.products.get(role):
                variants.setdefault((row["shape"], row["when"]), []).append(number)
        for place, numbers in enumerate(variants.values()):
            row = found[numbers[0] - 1].products[role]
            rows.append(
                [
                    f"  {role.removeprefix('encoder.')}" if place == 0 else "",
                    row["kind"],
                    row["shape"],
                    row["shape_numbers"],
                    quantity(row["flops"], ""),
                    quantity(sum(row[f"{part}_bytes"] for part in ("input", "operand", "output")), "B"),
                    "once" if row["when"] == "once a sentence" else "step",
                    str(row["count"]),
                    _ranges(numbers),
                ]
            )
    return Sheet(
        f"Every matrix product of one layer and of the head, at k = {k}",
        ["product", "kind", "shape", "", "FLOPs", "bytes", "when", "runs", "in"],
        rows,
        _after(
            "bGEMM: batched. FLOPs and bytes of one product: both factors and the result; attention's scores stay "
            "inside the kernel and have no bytes. when: once a sentence, or every step. runs: times in the whole "
            "model. in: columns of the table above.",
            found,
        ),
    )


def copies_told(found: Sequence[Column]) -> str:
    """Say what the copies among the rows of ``found`` are; "" if there are none."""
    roles = in_model_order(role for column in found for role in column.copies)
    before = [role for role in roles if role.endswith(".select")]
    told = [f"{listed(before)}: copied before the step as beams are reordered"] if before else []
    if any(column.has_table for column in found):
        told.append("[BW,k-1]: entries of a table that says where the rows of K and V lie")
    if "self.gather" in roles:
        told.append("self.gather: copied to be read, in the order of the table")
    if "self.expand" in roles:
        told.append("self.expand: rows made anew, in the model's type, to be read")
    if "cross.read" in roles:
        told.append("cross.read: rows of the source that stay at this step, at which the others are dropped")
    return f"{'; '.join(told)}." if told else ""


def _after(note: str, found: Sequence[Column]) -> str:
    return f"{note} {copies_told(found)}".strip()


def _ranges(numbers: Sequence[int]) -> str:
    """Write ascending numbers, three or more in a row as a range.

    >>> _ranges([1, 3, 4, 5, 7, 8])
    '1 3-5 7 8'
    """
    runs: list[list[int]] = []
    for number in numbers:
        if runs and number == runs[-1][-1] + 1:
            runs[-1].append(number)
        else:
            runs.append([number])
    return " ".join(f"{run[0]}-{run[-1]}" if len(run) > 2 else " ".join(map(str, run)) for run in runs)


def totals(rows: pd.DataFrame, k: int) -> Sheet:
    """Sheet of the whole model's step k, one row per strategy, beside the pass of training over all rows."""
    out = []
    for label, mine in rows.groupby("strategy", sort=False):
        products = mine[mine["kind"] != "copy"]
        step = products[products["phase"] == ("training" if label == TRAINING else "step")]
        flops = step["flops"] * step["count"]
        layer = step["role"].str.match(r"(self|cross|ffn)\.")
        growing = step["grows_with"].str.contains("k")
        copies = mine[mine["kind"] == "copy"]
        moved = ((copies["input_bytes"] + copies["output_bytes"]) * copies["count"]).sum()
        out.append(
            [
                str(label),
                *(str(int(step.loc[step["kind"] == kind, "count"].sum())) for kind in ("GEMM", "bGEMM")),
                str(int(step.loc[growing, "count"].sum())),
                quantity(step.loc[layer, "flops"].sum(), ""),
                quantity(flops.sum(), ""),
                f"{flops[growing].sum() / flops.sum():.1%}",
                quantity(
                    float(((step["input_bytes"] + step["operand_bytes"] + step["output_bytes"]) * step["count"]).sum()),
                    "B",
                ),
                quantity(moved, "B") if len(copies) else "",
            ]
        )
    return Sheet(
        f"The whole model at step k = {k}; in training, its pass over all rows",
        ["strategy", "GEMM", "bGEMM", "grow", "a layer", "FLOPs", "of growing", "bytes", "K/V moved"],
        out,
        "grow: products whose size grows with k. a layer: FLOPs of one decoder layer. bytes: of all products. K/V "
        "moved: new rows written, and old ones read and written again by concatenation"
        + (", what is made anew to be read" if set(READ_ROLES) & set(rows["role"]) else "")
        + (", and what beams copy." if set(BEAM_ROLES) & set(rows["role"]) else "."),
    )


def answer(found: Sequence[Column]) -> str:
    """Say whether only self-attention's batched products change with the step, for a strategy that feeds one row."""
    for column in found:
        step = column.step
        if not step or any("k" in row_growth(row) for row in step.values() if row["kind"] == "GEMM"):
            continue
        names = listed(column.labels)
        growing = [role for role in in_model_order(step) if "k" in row_growth(step[role])]
        fixed = len(step) - len(growing)
        if not growing:
            return (
                f"With {names}, none of the {fixed} products of a step changes with k: the whole buffer is read, under "
                "a mask."
            )
        return (
            f"With {names}, {len(growing)} of the {len(step)} products of a layer and the head grow with k: "
            f"{listed(growing)}, which are batched. The other {fixed} have one size at every step, since they "
            f"see one new row of each {'beam' if column.has_beams else 'sentence'}, the cross-attention's query among "
            "them. The earlier tokens are used "
            "all the same: they are the k rows of K and V that the growing ones read. Without a cache these rows are "
            "computed again, and nearly every product grows."
        )
    return ""
