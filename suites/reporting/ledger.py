"""The ledger of the page: what each matrix product of a step grows with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..ledger.view import Sheet
from ..settings.search import search_from
from ..words.quantity import counted


@dataclass(frozen=True)
class Ledger:
    """The ledger of one cell.

    ``place`` names the cell in words, ``legend`` the letters with their numbers, and ``answer`` says what grows.
    """

    place: str
    legend: str
    answer: str
    sheets: Sequence[Sheet]


def beams_of(cell: Mapping[str, Any]) -> int:
    """Beams of a sentence in a cell, the content of cell.json; 1 without beam search, as in earlier versions."""
    return search_from(cell.get("search")).width


def ledger_of(cell: Mapping[str, Any], labels: Sequence[str]) -> Ledger | None:
    """Make the ledger of a cell by formula. ``cell`` is the content of cell.json.

    ``labels`` are the strategies of the ledger. None if one is no strategy that is known here, if cell.json has no
    sizes of the model, as in folders of earlier versions, or if weights are narrower than K/V.
    """
    from strategies import DTYPES, ModelConfig, StrategyError, parse

    from ..ledger.column import at_step, columns, legend
    from ..ledger.formula import formula_ledger
    from ..ledger.table import default_step
    from ..ledger.text import sheets
    from ..ledger.view import answer

    if cell.get("weights"):  # the ledger counts bytes at one width for weights and K/V
        return None
    try:
        config, width = ModelConfig(**cell["model_config"]), DTYPES[cell["dtype"]].itemsize
    except (KeyError, TypeError):  # sizes of another version, or none
        return None
    try:
        strategies = [parse(label) for label in labels]
    except StrategyError:
        return None
    k, src_len = default_step(config.target_rows(int(cell["tgt_len"])), config.prefix_len), int(cell["src_len"])
    beams = beams_of(cell)
    ledger = formula_ledger(config, strategies, cell["batch_size"], src_len, cell["tgt_len"], k, width, beams)
    rows = at_step(ledger, k, src_len)
    told = f", {counted(beams, 'beam')}" if beams > 1 else ""
    return Ledger(
        f"batch {cell['batch_size']}{told}, {src_len} -> {cell['tgt_len']}, at k = {k}",
        legend(rows),
        answer(columns(rows)),
        sheets(ledger, k, src_len),
    )
