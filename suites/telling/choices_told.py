"""Lines of the closing summary that are read from cell.json.

They say what ``linear=auto`` chose, what narrower weights changed, and where no comparison with float32 was possible.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from ..settings.search import search_from
from ..store.cell_entries import NarrowingEntry
from ..store.cell_folder import CellResult
from ..words.search_told import sizes_with_units, source_of


def kernels_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per cell in which kernels were chosen.

    It says how many shapes of weights each kernel serves, by the number of rows of the other factor.
    """
    lines = []
    for done in cells:
        counts: dict[str, Counter[str]] = {}
        for choice in done.cell.get("linear_choices", []):
            limit = choice["rows_max"]
            rows = "for more" if limit is None else f"up to {limit} row{'s' * (limit > 1)}"
            where = "in compiled steps" if choice.get("compiled") else rows
            counts.setdefault(where, Counter())[choice["kernel"]] += 1
        if not counts:
            continue
        parts = [
            f"{where} " + ", ".join(f"{kernel} ({count})" for kernel, count in kernels.most_common())
            for where, kernels in counts.items()
        ]
        lines.append(f"linear=auto, {case_told(done)}, kernel (shapes of weights): {'; '.join(parts)}")
    return lines


def narrowing_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per cell and execution whose products read narrower weights: what that changed against float32."""
    lines = []
    for done in cells:
        if reason := done.cell.get("narrowing_reason"):
            lines.append(
                f"weights={done.cell.get('weights', '')}, {case_told(done)}: what it changed is not known: {reason}"
            )
        for name, execution in (("narrowing", ""), ("narrowing_compiled", ", compiled steps")):
            if found := done.cell.get(name):
                case = f"{case_told(done)}{execution}"
                lines.append(f"weights={done.cell.get('weights', '')}, {case}, beside fp32: {_changed(found)}")
    return lines


def float32_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per cell in low precision whose strategies were not compared with float32."""
    return [
        f"dtype={done.cell['dtype']}, {case_told(done)}: strategies were not compared with float32: {reason}"
        for done in cells
        if (reason := done.cell.get("fp32_reason"))
    ]


def _changed(found: NarrowingEntry) -> str:
    line = (
        f"logits within {found['logit_error']:.2g} (the largest is {found['logit_max']:.2g}), "
        f"{100 * found['choices_equal']:.3g} % of the choices equal"
    )
    if found["per"] is None or found["per_fp32"] is None:
        return line
    rates = " and ".join(f"{100 * rate:.2f} %" for rate in (found["per"], found["per_fp32"]))
    return f"{line}; phoneme errors {rates} (fp32) on {found['words']} held-out words, by eager steps"


def case_told(done: CellResult) -> str:
    """Batch and lengths of a cell, and the number of beams of beam search."""
    search = search_from(done.cell.get("search"))
    return sizes_with_units(
        {**done.cell, "search": search.kind, "num_beams": search.width, "source": source_of(done.cell)}
    )
