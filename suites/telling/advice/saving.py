"""What remembering earlier work costs in memory and saves in time."""

from __future__ import annotations

import pandas as pd

from ...words.comparison import Compared, spoken
from ...words.quality import is_approximate
from ...words.quantity import quantity
from .rows import Row, cases, is_strategy, longest
from .section import Section


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence per strategy, compared with the baseline, in the longest cell of each batch size."""
    found = []
    for place, cell in cases(longest(rows)):
        base = next((row for row in cell if row["strategy"] == row["baseline"] and is_strategy(row)), None)
        rivals = [row for row in cell if row is not base and is_strategy(row) and not is_approximate(row)]
        if base is not None and rivals:
            title = f"what remembering saves and costs, {place}"
            found.append(Section(title, [_sentence(row, base) for row in rivals]))
    return found


def _sentence(row: Row, base: Row) -> str:
    return f"{Compared.of(row).clause(spoken(row['strategy']), base['strategy'])}; it {_costs(row, base)}"


def _costs(row: Row, base: Row) -> str:
    kept = f"holds {quantity(row['kv_reserved_bytes'], 'B')} of K/V"
    if base["kv_reserved_bytes"]:
        kept += f" ({base['strategy']}: {quantity(base['kv_reserved_bytes'], 'B')})"
    if row["copied_bytes"] > 0:
        why = "to grow" if row["num_beams"] == 1 else "as K/V grow and beams are reordered"
        kept += f", moves {quantity(row['copied_bytes'], 'B')} a step {why}"
    mine, other = (f"{of['flops_waste']:.1f}x" for of in (row, base))
    if mine != other:
        kept += f", does {mine} the necessary FLOPs instead of {other}"
    return kept
