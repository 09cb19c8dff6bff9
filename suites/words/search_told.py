"""How a search and the sizes of a case are worded."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import TYPE_CHECKING, Any

from .quantity import counted

if TYPE_CHECKING:
    import pandas as pd

    from strategies.search.options import Search

    from .settings_told import Named


IDS, FEATURES = "ids", "features"
"""What a source may be, as the column ``source`` of the table of cases says it."""


def search_told(search: Search) -> str:
    """Name a search with the options that are not at their default. The number of beams is told beside the batch.

    >>> from strategies.search.options import Beam, Greedy, Sample
    >>> search_told(Greedy()), search_told(Beam(8)), search_told(Sample(top_k=50, top_p=0.9))
    ('greedy', 'beam', 'sample(top_k=50,top_p=0.9)')
    """
    options = {
        field.name: getattr(search, field.name)
        for field in fields(search)
        if field.init and field.name != "num_beams" and getattr(search, field.name) != field.default
    }
    told = ",".join(f"{name}={value}" for name, value in options.items())
    return f"{search.kind}({told})" if told else search.kind


def is_beam(search: Any) -> bool:
    """Whether a search, named by ``search_told``, is beam search. Tables of earlier versions name none."""
    return str(search).partition("(")[0] == "beam"


def batch_told(case: Named) -> str:
    """Name the batch of a case or cell and, with beam search, the number of beams.

    >>> batch_told({"batch_size": 8, "search": "greedy", "num_beams": 1})
    'batch 8'
    >>> batch_told({"batch_size": 8, "search": "beam", "num_beams": 4})
    'batch 8, 4 beams'
    """
    beams = f", {counted(int(case['num_beams']), 'beam')}" if is_beam(case["search"]) else ""
    return f"batch {case['batch_size']}{beams}"


def sizes_told(case: Mapping[Any, Any] | pd.Series) -> str:
    """Name the sizes of a case or cell, and its sentences where they are a batch of a file of texts.

    >>> case = {"batch_size": 8, "search": "beam", "num_beams": 4, "src_len": 64, "tgt_len": 32}
    >>> sizes_told(case)
    'batch 8, 4 beams, 64 -> 32'
    >>> sizes_told({**case, "first_sentence": 9})
    'batch 8, 4 beams, sentences 9 to 16, 64 -> 32'
    """
    return f"{batch_told(case)}{sentences_told(case)}, {case['src_len']} -> {case['tgt_len']}"


def sentences_told(case: Mapping[Any, Any] | pd.Series) -> str:
    """Name the lines of a file of texts that are a case's batch, after a comma; "" for other sources."""
    known = case.get("first_sentence") or 0  # of earlier versions an empty text, or NaN
    if not known >= 1:
        return ""
    first, last = int(known), int(known) + int(case["batch_size"]) - 1
    return f", sentence {first}" if first == last else f", sentences {first} to {last}"


def sizes_with_units(case: Mapping[Any, Any] | pd.Series) -> str:
    """Name the sizes of a case with their units; ``source`` says what its source is (``source_of``).

    >>> case = {"batch_size": 8, "search": "greedy", "source": "features", "src_len": 1500, "tgt_len": 32}
    >>> sizes_with_units(case), sizes_with_units({**case, "source": "ids"})
    ('batch 8, 1500 positions -> 32 tokens', 'batch 8, 1500 -> 32 tokens')
    """
    unit = " positions" if case.get("source") == FEATURES else ""
    return f"{batch_told(case)}{sentences_told(case)}, {case['src_len']}{unit} -> {case['tgt_len']} tokens"


def source_told(case: Mapping[Any, Any] | pd.Series) -> str:
    """Name the source of a case and its length, to be followed by the target's length in tokens.

    >>> source_told({"source": "features", "src_len": 1500}), source_told({"source": "ids", "src_len": 64})
    ('1,500 positions of features', '64')
    """
    return f"{case['src_len']:,} positions of features" if case.get("source") == FEATURES else str(case["src_len"])


def source_of(cell: Mapping[str, Any]) -> str:
    """What the source of a stored cell is: ``ids`` or ``features``; "" where its model is not told."""
    config = cell.get("model_config")
    return "" if config is None else FEATURES if config.get("mel_bins") else IDS
