"""What remembering earlier work costs in memory and saves in time."""

from __future__ import annotations

import pandas as pd

from ...words.quantity import percent, quantity
from .rows import Row, cases, interval, is_strategy, longest
from .section import Section


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence per strategy, compared with the baseline, in the longest cell of each batch size."""
    found = []
    for place, cell in cases(longest(rows)):
        base = next((row for row in cell if row["strategy"] == row["baseline"] and is_strategy(row)), None)
        rivals = [row for row in cell if row is not base and is_strategy(row)]
        if base is not None and rivals:
            title = f"what remembering costs and saves beside {base['strategy']}, {place}"
            found.append(Section(title, [f"{row['strategy']} {_saves(row)}; {_costs(row, base)}" for row in rivals]))
    return found


def against(best: Row, cell: list[Row]) -> str:
    """Say what the quickest strategy of a cell saves against the baseline; "" if it is the baseline or a contender."""
    base = next((row for row in cell if row["strategy"] == row["baseline"]), None)
    if base is None or base is best or not is_strategy(best):
        return ""
    return f"beside {base['strategy']} it {_saves(best)}"


def _saves(row: Row) -> str:
    low, value, high = (1 - row[f"e2e_ratio{end}"] for end in ("_high", "", "_low"))
    if row["e2e_verdict"] == "faster":
        return f"saves {percent(value)} [{100 * low:.0f}, {100 * high:.0f}] of the time"
    if row["e2e_verdict"] == "slower":
        return f"takes {percent(-value)} [{-100 * high:.0f}, {-100 * low:.0f}] more time"
    told = {"indistinguishable": "as quick, within the margin"}.get(row["e2e_verdict"], "these rounds do not decide")
    return f"takes {interval(row, 'e2e_ratio')} of the time: {told}"


def _costs(row: Row, base: Row) -> str:
    kept = f"holds {quantity(row['kv_reserved_bytes'], 'B')} of K/V"
    if base["kv_reserved_bytes"]:
        kept += f" ({base['strategy']}: {quantity(base['kv_reserved_bytes'], 'B')})"
    if row["copied_bytes"] > 0:
        kept += f", moves {quantity(row['copied_bytes'], 'B')} a step to grow"
    mine, other = (f"{of['flops_waste']:.1f}x" for of in (row, base))
    if mine != other:
        kept += f", does {mine} the necessary FLOPs instead of {other}"
    return kept
