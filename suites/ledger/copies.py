"""What a step copies of K and V, which is no product: rows that are appended, gathered to be read, and reordered."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from strategies import ModelConfig
from strategies.models.costs import StepShape
from strategies.models.traffic import ENTRY, ElementBytes, role_bytes

from ..probes.traffic import SELECT
from .expected import Facts
from .recorded import Bytes, Recorded
from .symbols import Expression, text

BEAM_ROLES = ("self.gather", "self.select", "cross.select")
"""Roles of copies that only beams make. ``roles.csv`` counts what is gathered to ``self.append``."""
_SELF, _CROSS = SELECT


def stored(numbers: Mapping[Expression, int], width: int) -> Bytes:
    """Bytes of K and V that one layer reads to move them at a step, and that it writes, by the strategy's facts.

    ``width`` is the number of bytes per element.
    """
    name = _by_name(numbers)
    row_bytes = 2 * name["B"] * name.get("W", 1) * name.get("G", name["H"]) * name["d"] * width
    return Bytes(name["moved"] * row_bytes, 0, (name["T"] + name["moved"]) * row_bytes)


def selected(config: ModelConfig, known: Facts, numbers: Mapping[Expression, int], width: int) -> dict[str, int]:
    """Bytes that all layers write as beams are reordered before the step, by role; {} if none are.

    They are those of the formula of a step's bytes, which counts each once read and once written.
    """
    name = _by_name(numbers)
    if "W" not in name:
        return {}
    shape = StepShape(
        name["B"], name["S"], name["T"], name["M"], name["moved"], not known.cross_cached, name["W"],
        known.cross_shared, known.cross_beams == "expanded", int(name["k"] > 1), name["reordered"], name["entries"],
    )  # fmt: skip
    moved = role_bytes(config, shape, ElementBytes(width))
    return {role: moved[role].copies // 2 for role in SELECT if moved[role].copies}


def copy_rows(found: Recorded, known: Facts, name: Mapping[str, int]) -> Iterator[dict[str, Any]]:
    """Make the rows of the ledger for a step's copies. ``name`` holds the number of each letter.

    Nothing is reordered before the first step, so it has no row of that.
    """
    assert found.stored is not None
    heads = "G" if "G" in name else "H"
    sequences = "BW" if "W" in name else "B"
    count = name["B"] * name.get("W", 1)
    layers = sum(p.count for p in found.products if p.role == "decoder.self_attn.qkv")
    written = name["T"] + name["moved"]
    gathered = found.stored.output * name["gathered"] // written
    moved = name["moved"] - name["gathered"]

    def kv(role: str, shape: str, rows: int, rows_letters: str, grows: str, read: int, written: int) -> dict[str, Any]:
        """A row for K and V of one layer."""
        numbers = f"2 x [{count * name[heads]},{rows},{name['d']}]"
        batch = 2 * count * name[heads], f"2{sequences}{heads}"
        return _row(role, layers, shape, numbers, batch, (rows, rows_letters), (name["d"], "d"), grows, read, written)

    def of(rows: str) -> str:
        return f"2 x [{sequences}{heads},{rows},d]"

    yield kv(
        "self.append",
        of(text(known.rows)) + (f" + {of(known.copied)}" if known.copied else ""),
        name["T"] + moved,
        "",
        "k" if known.copied or not known.rows.is_number else "-",
        found.stored.input - gathered,
        found.stored.output - gathered,
    )
    if known.gathered:
        follows = "C" if known.gathered == "C" else "k"
        yield kv("self.gather", of(known.gathered), name["gathered"], known.gathered, follows, gathered, gathered)
    if name["k"] == 1 or known.beams == 1:
        return
    table = ENTRY * count * name["entries"]
    if known.reordered:
        nbytes = (found.selected.get(_SELF, 0) - table) // layers
        yield kv("self.select", of(known.reordered), name["reordered"], known.reordered, "k", nbytes, nbytes)
    if known.entries:
        numbers = known.entries.replace("BW", str(count)).replace("k-1", str(name["k"] - 1))
        numbers = numbers.replace("some", str(name["entries"]))
        entries = name["entries"], ""
        yield _row("self.select", 1, known.entries, numbers, (count, "BW"), (1, ""), entries, "k", table, table)
    if known.cross_beams == "expanded":
        nbytes, source = found.selected.get(_CROSS, 0), (name["S"], "S")
        if known.cross_cached:
            nbytes //= layers
            yield kv("cross.select", of("S"), *source, "S", nbytes, nbytes)
        else:
            shape = f"[{count},{name['S']},{name['D']}]"
            width = name["D"], "D"
            yield _row("cross.select", 1, "[BW,S,D]", shape, (count, "BW"), source, width, "S", nbytes, nbytes)


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
