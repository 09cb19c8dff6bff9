"""What a step copies of K and V, which is no product: rows that are appended, made anew to be read, and reordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strategies import ModelConfig
from strategies.models.costs import CROSS_READ, StepShape
from strategies.models.traffic import ENTRY, ElementBytes, role_bytes

from ..probes.traffic import SELECT
from .expected import Facts
from .recorded import Bytes, Recorded
from .symbols import Expression, text

BEAM_ROLES = ("self.gather", "self.select", "cross.select")
"""Roles of copies that only beams make. ``roles.csv`` counts what is gathered to ``self.append``."""
READ_ROLES = ("self.expand", "cross.read")
"""Roles of what is made anew to be read, and of what stays of the source where the rest is dropped.

``roles.csv`` counts the first to ``self.append``.
"""
_SELF, _CROSS = SELECT


def stored(numbers: Mapping[Expression, int], width: int) -> Bytes:
    """Bytes of K and V that one layer reads to move or expand them at a step, and that it writes, by the facts.

    ``width`` is the number of bytes per element of the model's type, in which rows are attended.
    """
    name = _by_name(numbers)
    persists = name["B"] * name.get("W", 1) * name["row_bytes"]  # a row of K and one of V of all sequences
    attended = 2 * name["B"] * name.get("W", 1) * name.get("G", name["H"]) * name["d"] * width
    moved, expanded = name["moved"] * persists, name["expanded"]
    return Bytes(moved + expanded * persists, 0, name["T"] * persists + moved + expanded * attended)


def selected(config: ModelConfig, known: Facts, numbers: Mapping[Expression, int], width: int) -> dict[str, int]:
    """Bytes that all layers write as beams are reordered before the step, and as keys of the source are dropped.

    They are by role, without roles of none, and those of the formula of a step's bytes, which counts each once read and
    once written.
    """
    name = _by_name(numbers)
    shape = StepShape(
        name["B"], name["S"], name["T"], name["M"], name["moved"], not known.cross_cached, name.get("W", 1),
        known.cross_shared, name["reordered"], name["entries"], name["source_reordered"],
        cross_copied=name["source_kept"], row_bytes=name["row_bytes"],
    )  # fmt: skip
    moved = role_bytes(config, shape, ElementBytes(width))
    return {role: moved[role].copies // 2 for role in (*SELECT, CROSS_READ) if role in moved and moved[role].copies}


def copy_rows(found: Recorded, known: Facts, name: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Make the rows of the ledger for a step's copies. ``name`` holds the number of each letter.

    Nothing is reordered before the first step, so it has no row of that.
    """
    assert found.stored is not None
    heads = "G" if "G" in name else "H"
    sequences = "BW" if "W" in name else "B"
    count = name["B"] * name.get("W", 1)
    layers = sum(p.count for p in found.products if p.role == "decoder.self_attn.qkv")
    persists = count * name["row_bytes"]
    moved = name["moved"] - name["gathered"]

    def kv(
        role: str, shape: str, rows: int, letters: str, grows: str, read: int, written: int,
        of: tuple[str, int] = (sequences, count),
    ) -> dict[str, Any]:  # fmt: skip
        """A row for K and V of one layer, of the sequences or the sources ``of``."""
        numbers = f"2 x [{of[1] * name[heads]},{rows},{name['d']}]"
        batch = 2 * of[1] * name[heads], f"2{of[0]}{heads}"
        return _row(role, layers, shape, numbers, batch, (rows, letters), (name["d"], "d"), grows, read, written)

    def shape(rows: str, of: str = sequences) -> str:
        return f"2 x [{of}{heads},{rows},d]"

    yield kv(
        "self.append",
        shape(text(known.rows)) + (f" + {shape(known.copied)}" if known.copied else ""),
        name["T"] + moved,
        "",
        "k" if known.copied or not known.rows.is_number else "-",
        moved * persists,
        (name["T"] + moved) * persists,
    )
    if known.gathered:
        follows, nbytes = "C" if known.gathered == "C" else "k", name["gathered"] * persists
        yield kv("self.gather", shape(known.gathered), name["gathered"], known.gathered, follows, nbytes, nbytes)
    if known.expanded:
        follows, rows = "C" if known.expanded == "C" else "k", name["expanded"]
        attended = found.stored.output - (name["T"] + name["moved"]) * persists
        yield kv("self.expand", shape(known.expanded), rows, known.expanded, follows, rows * persists, attended)
    if name["source_kept"]:
        of = ("B", name["B"]) if known.cross_shared else (sequences, count)
        nbytes = found.selected.get(CROSS_READ, 0) // layers
        yield kv("cross.read", shape("R", of[0]), name["source_kept"], "R", "S", nbytes, nbytes, of)
    if name["k"] == name.get("P", 1) or known.beams == 1:
        return
    table = ENTRY * count * name["entries"]
    if known.reordered:
        nbytes = (found.selected.get(_SELF, 0) - table) // layers
        yield kv("self.select", shape(known.reordered), name["reordered"], known.reordered, "k", nbytes, nbytes)
    if known.entries:
        numbers = known.entries.replace("BW", str(count)).replace("k-1", str(name["k"] - 1))
        numbers = numbers.replace("some", str(name["entries"]))
        entries = name["entries"], ""
        yield _row("self.select", 1, known.entries, numbers, (count, "BW"), (1, ""), entries, "k", table, table)
    if known.cross_beams == "expanded":
        nbytes, source = found.selected.get(_CROSS, 0), (name["source_reordered"], text(known.cross_keys))
        if known.cross_cached:
            nbytes //= layers
            yield kv("cross.select", shape(source[1]), *source, "S", nbytes, nbytes)
        else:
            numbers = f"[{count},{name['S']},{name['D']}]"
            width = name["D"], "D"
            yield _row(
                "cross.select", 1, "[BW,S,D]", numbers, (count, "BW"), (name["S"], "S"), width, "S", nbytes, nbytes
            )


def _row(
    role: str,
    count: int,
    shape: str,
    numbers: str,
    batch: tuple[int, str],
    rows: tuple[int, str],
    cols: tuple[int, str],
    grows: str,
    read: int,
    written: int,
) -> dict[str, Any]:
    """A row of kind ``copy``. Sizes are numbers with their letters; ``read`` and ``written`` are bytes of one copy."""
    return {
        "part": role.partition(".")[0],
        "role": role,
        "kind": "copy",
        "count": count,
        "shape": shape,
        "shape_numbers": numbers,
        "batch": batch[0],
        "rows": rows[0],
        "inner": 0,
        "cols": cols[0],
        "batch_letters": batch[1],
        "rows_letters": rows[1],
        "inner_letters": "",
        "cols_letters": cols[1],
        "flops": 0,
        "input_bytes": read,
        "operand_bytes": 0,
        "output_bytes": written,
        "grows_with": grows,
    }


def _by_name(numbers: Mapping[Expression, int]) -> dict[str, int]:
    return {str(letter): number for letter, number in numbers.items()}
