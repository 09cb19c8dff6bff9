"""One strategy beside its baseline: every product of a step in letters and in numbers, in some 20 lines."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from ..judging.baseline import baseline_of
from ..words.labels import listed
from ..words.quantity import quantity
from ..work.role_names import in_model_order
from .column import APPEND, Column, at_step, columns, letters, prefix_told, row_growth
from .expected import TRAINING
from .symbols import GROWING, LETTERS
from .view import Sheet, copies_told

WITH_STEP = ("k", "T", "M")
"""Letters that follow the step."""
ONCE = "once, before step 1"


@dataclass(frozen=True)
class Beside:
    """One kind of strategies and, unless None, the baseline; ``rows`` are those of the ledger at one step."""

    shown: Column
    baseline: Column | None
    rows: pd.DataFrame


def beside(ledger: pd.DataFrame, k: int, src_len: int) -> Beside | None:
    """Select step ``k`` at one source length; None if the strategies are of more than two kinds.

    Strategies whose products are equal are of one kind. If there are two kinds, the baseline is full_recompute, or the
    first strategy of the ledger.
    """
    rows = at_step(ledger, k, src_len)
    rows = rows[rows["strategy"] != TRAINING]
    kinds = columns(rows)
    if len(kinds) > 2:
        return None
    base = baseline_of(list(dict.fromkeys(map(str, rows["strategy"]))))
    first, second = sorted(kinds, key=lambda kind: base in kind.labels) if len(kinds) == 2 else (kinds[0], None)
    return Beside(first, second, rows)


def headline(found: Beside) -> str:
    """Say how many products of a step grow with the step, and which, for the strategy and for its baseline."""
    step, growing = found.shown.step, _growing(found.shown)
    names = listed(found.shown.labels)
    said = f"none of the {len(step)} products of a step grows with k: the whole buffer is read, under a mask."
    if growing:
        which = f": {listed(growing)}" if len(growing) <= 4 else ""
        said = f"{len(growing)} of the {len(step)} products of a step grow with k, the keys attended{which}."
    text = f"With {names}, {said}"
    if found.baseline:
        step, growing = found.baseline.step, _growing(found.baseline)
        text += f" With {listed(found.baseline.labels)}, {len(growing) or 'none'} of {len(step)} {_do(growing)}."
    return text


def note(found: Beside) -> str:
    """Say what the copies among the rows are, if there are any, and what the table leaves out."""
    kinds = [found.shown, *([found.baseline] if found.baseline else [])]
    copied = copies_told(kinds)
    return "\n".join(filter(None, [copied, prefix_told(found.rows), NOTE]))


def _do(growing: Sequence[str]) -> str:
    return "does" if len(growing) < 2 else "do"


def _growing(kind: Column) -> list[str]:
    return [role for role in in_model_order(kind.step) if "k" in row_growth(kind.step[role])]


def table(found: Beside, k: int) -> Sheet:
    """Sheet of the products outside the encoder, those of the step first of all: letters, numbers, baseline's letters.

    The last column holds the baseline's numbers, for those who have room for them.
    """
    kinds = [found.shown, *([found.baseline] if found.baseline else [])]
    header = ["product", " = ".join(found.shown.labels), f"numbers at k = {k}"]
    if found.baseline:
        header += [" = ".join(found.baseline.labels), f"numbers at k = {k}"]
    rows = []
    for role in in_model_order(role for kind in kinds for role in kind.products):
        if not role.startswith("encoder."):
            rows.append([role, *(cell for kind in kinds for cell in _cells(kind.products.get(role)))])
    totals = [cell for kind in kinds for cell in _whole_step(found.rows, kind.labels[0])]
    return Sheet("", header, [*rows, ["whole step", *totals]])


def _cells(row: dict[str, Any] | None) -> tuple[str, str]:
    if row is None:
        return "", ""
    return (ONCE if row["when"] == "once a sentence" else row["shape"]), row["shape_numbers"]


def _whole_step(rows: pd.DataFrame, label: str) -> tuple[str, str]:
    """FLOPs of a step of the whole model, and the bytes that its products, and copies for beams, read and write."""
    step = rows[(rows["strategy"] == label) & (rows["phase"] == "step") & (rows["role"] != APPEND)]
    moved = step["input_bytes"] + step["operand_bytes"] + step["output_bytes"]
    flops, nbytes = ((of_one * step["count"]).sum() for of_one in (step["flops"], moved))
    return quantity(float(flops), "FLOPs"), f"{quantity(float(nbytes), 'B')} moved"


def legend(found: Beside, title: str) -> str:
    """The case, and the letters of the table with their numbers, except k, which the headline explains."""
    sizes = letters(found.rows[found.rows["part"] != "encoder"])
    told = [f"{letter} {LETTERS[letter]} {number}" for letter, number in sizes.items() if letter != "k"]
    return f"{title}: {', '.join(told)}."


NOTE = "--all: every strategy, and the encoder."
"""What the table leaves out."""


def pieces(shape: str, lettered: str) -> Iterator[tuple[str, str]]:
    """Cut a shape, in letters or in numbers, into pieces (text, kind): kind "step", "sentence" or "" for fixed sizes.

    ``lettered`` is the same shape in letters, which tells what grows. Joined, the texts are ``shape``.

    >>> list(pieces("[4,1,48] x [4,48,21]", "[BH,1,d] x [BH,d,k]"))[-2:]
    [('21', 'step'), (']', '')]
    """
    said = re.split(r"([\[\],]| x )", lettered)
    own = re.split(r"([\[\],]| x )", shape)
    if len(said) != len(own):
        yield shape, ""
        return
    for text, letter in zip(own, said, strict=True):
        found = {name for name in re.findall("[A-Za-z]", letter) if name in GROWING}
        if text:
            yield text, "step" if found & set(WITH_STEP) else "sentence" if found else ""
