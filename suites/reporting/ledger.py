"""The ledger of the page: what each matrix product of a step grows with, and diagrams of a decoder layer."""

from __future__ import annotations

import base64
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import matplotlib as mpl

from ..ledger.view import Sheet


@dataclass(frozen=True)
class Drawing:
    """A diagram: SVG in base64, a title that is its message, and a caption on how to read it."""

    svg: str
    title: str
    caption: str


@dataclass(frozen=True)
class Ledger:
    """The ledger of one cell.

    ``place`` names the cell in words, ``legend`` the letters with their numbers, and ``answer`` says what grows.
    """

    place: str
    legend: str
    answer: str
    sheets: Sequence[Sheet]
    drawings: Sequence[Drawing]


def ledger_of(cell: Mapping[str, Any], labels: Sequence[str], drawn: Sequence[str]) -> Ledger | None:
    """Make the ledger of a cell by formula. ``cell`` is the content of cell.json.

    ``labels`` are the strategies of the ledger, ``drawn`` those whose decoder layer is drawn. None if a label is no
    strategy that is known here, if cell.json has no sizes of the model, as in folders of earlier versions, or if
    weights are narrower than K/V.
    """
    from strategies import DTYPES, ModelConfig, StrategyError, parse

    from ..ledger.formula import formula_ledger
    from ..ledger.table import default_step
    from ..ledger.text import sheets
    from ..ledger.view import answer, at_step, columns, legend

    if cell.get("weights"):  # the ledger counts bytes at one width for weights and K/V
        return None
    k, src_len = default_step(int(cell["tgt_len"])), int(cell["src_len"])
    try:
        config, width = ModelConfig(**cell["model_config"]), DTYPES[cell["dtype"]].itemsize
    except (KeyError, TypeError):  # sizes of another version, or none
        return None
    try:
        strategies = [parse(label) for label in labels]
    except StrategyError:
        return None
    ledger = formula_ledger(config, strategies, cell["batch_size"], src_len, cell["tgt_len"], k, width)
    rows = at_step(ledger, k, src_len)
    return Ledger(
        f"batch {cell['batch_size']}, {src_len} -> {cell['tgt_len']}, at k = {k}",
        legend(rows),
        answer(columns(rows)),
        sheets(ledger, k, src_len),
        [drawing for label in drawn for drawing in [_draw(ledger, label, k, src_len)] if drawing],
    )


def _draw(ledger: Any, label: str, k: int, src_len: int) -> Drawing | None:
    from ..plots.ledger import layer
    from ..plots.ledger.flow import can_draw, read_layer
    from ..plots.style import RC, title_of

    if not can_draw(ledger, label):
        return None
    shown = read_layer(ledger, label, k, src_len)
    figure, svg = layer.figure(shown), io.BytesIO()
    with mpl.rc_context(RC):
        figure.savefig(svg, format="svg", metadata={"Date": None, "Creator": "decodebench"}, facecolor="white")
    return Drawing(base64.b64encode(svg.getvalue()).decode(), title_of(figure), layer.caption(shown))
