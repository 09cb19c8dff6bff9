"""Which batch sizes and lengths fit in memory, by formula, and how the formula compares with the measured peaks."""

from __future__ import annotations

import pandas as pd

from ...words.quality import is_approximate
from ...words.quantity import quantity
from ...words.search_told import FEATURES, batch_told
from .rows import BATCH, longest
from .section import Section


def sections(rows: pd.DataFrame) -> list[Section]:
    """Make one sentence per strategy, and one on how far the formula can be trusted."""
    known = rows[rows["batch_max_sentences"].notna()]
    if known.empty:
        return []
    case = longest(known)
    memory, weights = (quantity(known[name].iloc[0], "B") for name in ("memory_bytes", "weight_bytes"))
    bound_by = str(known["memory_bound_by"].iloc[0]) if "memory_bound_by" in known else ""
    where = f" ({bound_by})" if bound_by else ""
    told = []
    for strategy, mine in case.groupby("strategy", sort=False):
        mine = mine.sort_values(BATCH)
        last = mine.iloc[-1]
        name = f"{strategy}{' (approximate)' * is_approximate(last.to_dict())}"
        most = {**last, "batch_size": f"{int(last['batch_max_sentences']):,}"}
        lengths = ", ".join(f"{row['length_max_tokens']:,.0f} at {batch_told(row)}" for row in mine.to_dict("records"))
        along = "target" if last.get("source") == FEATURES else "source = target"
        told.append(f"{name}: {batch_told(most)} at {last['src_len']} -> {last['tgt_len']}; {along} = {lengths}")
    found = (known["peak_memory_bytes"] / known["predicted_peak_bytes"]).dropna()
    ratio = " to ".join(dict.fromkeys(f"{end:.2f}" for end in (found.min(), found.max())))
    measured = f"the peaks measured are {ratio} of it; " if len(found) else ""
    told.append(f"by a formula; {measured}what kernels and allocators take besides is not counted")
    return [Section(f"what fits in {memory}{where}, weights of {weights} included", told)]
