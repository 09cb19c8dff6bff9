"""Tables of a run in which approximate strategies stand beside exact ones, with what each loses and takes."""

import numpy as np

from .test_plots import tables

Q8, Q4, SLIDING = LOSSY = ("quantized_kv(bits=8)", "quantized_kv(bits=4)", "sliding_kv(window=64)")
EXACT = ("full_recompute", "static_kv")
ERROR = {Q8: 0.0898, Q4: 0.0912, SLIDING: 0.31}
"""Phoneme errors at the longest target; that of exact strategies is 0.0898."""
SHARE = {Q8: 0.27, Q4: 0.145, SLIDING: 0.62}
"""K/V bytes over those of static_kv, which has 1 MiB per sentence."""
TIME = {"full_recompute": (8.0, "slower"), Q8: (1.3, "slower"), Q4: (1.4, "undecided"), SLIDING: (0.8, "faster")}
"""Time over that of static_kv, and the verdict."""


def lossy(lengths=((256, 256),), strategies=(*EXACT, *LOSSY), batches=(4,), measure="phoneme_error"):
    """(table, steps); what is lost doubles with the length, and only ``measure`` is known of it."""
    table, steps = tables(lengths, batches, strategies)
    exact = table["strategy"].isin(EXACT)
    lost = (table["strategy"].map(ERROR) - 0.0898) * table["tgt_len"] / max(length for _, length in lengths)
    known = {
        "phoneme_error": 0.0898 + lost.fillna(0.0),
        "token_error": lost,
        "top1_equal": 1 - lost,
    }
    ratio = table["strategy"].map({name: ratio for name, (ratio, _) in TIME.items()}).fillna(1.0)
    verdict = table["strategy"].map({name: verdict for name, (_, verdict) in TIME.items()}).fillna("baseline")
    share = table["strategy"].map(SHARE).fillna(1.0).mask(table["strategy"] == "full_recompute", 0.0)
    ends = {f"best_{kind}_{end}": by * ratio for kind in ("ratio", "holm") for end, by in (("low", 0.9), ("high", 1.1))}
    return table.assign(
        exact=exact.astype(float),
        **dict.fromkeys(known, np.nan) | {measure: known[measure]},
        best_strategy="static_kv" if "static_kv" in strategies else "",
        best_ratio=ratio,
        best_verdict=verdict,
        **ends,
        kv_reserved_bytes=2.0**20 * share * table["batch_size"],
        disturbed_by="",
    ), steps
