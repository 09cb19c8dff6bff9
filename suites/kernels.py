"""What ``linear=auto`` chose, for the closing summary; in full it stands in each cell.json."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from .results import CellResult


def kernels_told(cells: Sequence[CellResult]) -> list[str]:
    """A line for each case in which kernels were chosen: how many shapes of weights each serves, by rows."""
    lines = []
    for done in cells:
        counts: dict[int | None, Counter[str]] = {}
        for choice in done.cell.get("linear_choices", []):
            counts.setdefault(choice["rows_max"], Counter())[choice["kernel"]] += 1
        if not counts:
            continue
        parts = [
            f"{'for more' if limit is None else f'up to {limit} row' + 's' * (limit > 1)} "
            + ", ".join(f"{kernel} ({count})" for kernel, count in kernels.most_common())
            for limit, kernels in counts.items()
        ]
        lengths = f"{done.cell['src_len']} -> {done.cell['tgt_len']}"
        case = f"batch {done.cell['batch_size']}, {lengths} tokens"
        lines.append(f"linear=auto, {case}, kernel (shapes of weights): {'; '.join(parts)}")
    return lines
