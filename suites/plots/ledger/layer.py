"""The diagram of a decoder layer: every matrix product, and on every edge the shape of the tensor that flows there."""

from __future__ import annotations

import math

import matplotlib as mpl
from matplotlib.figure import Figure

from ...ledger.symbols import LETTERS
from ...words.quantity import counted
from ..style import RC, WIDTH_IN, wrapped
from .canvas import Canvas, samples, width_in
from .flow import Layer
from .parts import BAND, GUTTER, HEIGHT, LEFT, WIDTH, between, cross_attention, feed_forward, self_attention
from .tensor import Mark

_LINE_IN, _LEGEND_IN, _FOOT_IN, _GAP_IN = 0.19, 0.26, 0.38, 0.18


def message(layer: Layer) -> str:
    """Say how many products grow, and which."""
    growing, of = layer.growing, len(layer.each_time)
    letter = "N" if layer.k is None else "k"
    squares = sum(o.grows_with.split() == [letter, letter] for o in growing)
    count = f"{len(growing)} of {of} products {'grows' if len(growing) == 1 else 'grow'}"
    if layer.k is None:
        return f"training, all N = {layer.sizes['N']} rows at once: {count} with N, {squares} of them with N²"
    start = f"{layer.strategy}, step k = {layer.k}: "
    if not growing:
        return start + f"none of {of} products grows; " + (
            f"self-attention reads a whole buffer of C = {layer.sizes['C']} rows"
            if layer.keys.mark == "C" else "every step is the same"
        )  # fmt: skip
    if {o.role for o in growing} <= {"self.scores", "self.context"}:
        which = "of earlier tokens" if layer.k > 1 else "so far"
        words = f"{count}, {'both read' if len(growing) == 2 else 'it reads'} the K, V {which}"
        done = [name for name, of in (("moved", layer.moved), ("reordered", layer.reordered)) if of]
        table = ", gathered through a table" if layer.gathered else ""
        return start + words + table + (f", which are {' and '.join(done)} at every step" if done else "")
    return start + count + (f", {squares} of them with k²" if squares else " with k")


def figure(layer: Layer) -> Figure:
    """Draw the layer of one strategy at one step, or that of training."""
    with mpl.rc_context(RC):
        title = message(layer)
        lines = math.ceil(width_in(title, 11, bold=True) / (WIDTH_IN - 0.2))
        head = 0.12 + lines * _LINE_IN + _LEGEND_IN
        body = HEIGHT + _GAP_IN + BAND
        height = head + body + _FOOT_IN
        drawn = Figure(figsize=(WIDTH_IN, height))
        drawn.suptitle(
            x=0.012, y=1 - 0.08 / height, va="top", ha="left", fontsize=11, fontweight="bold", **wrapped(title)
        )
        names: dict[Mark, str] = {
            "grows": "grows with N (target)" if layer.k is None else "grows with k",
            "S": "depends on S (source)", "C": "set by C (buffer)", "": "always the same",
        }  # fmt: skip
        marks = {o.mark for o in layer.operations.values()} | {layer.keys.mark}
        shown = dict(
            samples({m: n for m, n in names.items() if m in marks}, any(o.once for o in layer.operations.values()))
        )
        drawn.legend(
            list(shown.values()), list(shown), loc="upper left", ncols=len(shown), handlelength=2.4, columnspacing=1.4,
            bbox_to_anchor=(0.004, 1 - (0.1 + lines * _LINE_IN) / height), borderaxespad=0.0,
        )  # fmt: skip
        drawn.text(0.012, 0.1 / height, foot(layer), va="bottom", fontsize=7, color="#555555", linespacing=1.25)
        axes = drawn.add_axes((0.0, _FOOT_IN / height, 1.0, body / height))
        axes.set_xlim(0, WIDTH_IN)
        axes.set_ylim(0, body)
        axes.axis("off")
        canvas = Canvas(axes)
        first, second, band = (LEFT, body), (LEFT + WIDTH + GUTTER, body), (LEFT, BAND)
        self_attention(canvas, first, layer)
        cross_attention(canvas, second, layer)
        feed_forward(canvas, band, layer)
        between(canvas, first, second, band, layer)
    return drawn


def foot(layer: Layer) -> str:
    """Explain every letter with its meaning and number, in two lines."""
    words = [f"{letter} {LETTERS[letter]} {number}" for letter, number in layer.sizes.items()]
    half = math.ceil(len(words) / 2)
    return ";  ".join(words[:half]) + "\n" + ";  ".join(words[half:])


def caption(layer: Layer) -> str:
    """Say what is drawn, what the marks mean, and what to look at."""
    growing = [operation.role for operation in layer.growing]
    if layer.k is None:
        where = f"One of {layer.layers} decoder layers in training: all {layer.sizes['N']} target rows at once."
        see = "Nothing is remembered from one call to the next: every product runs once, on all rows."
    else:
        where = (
            f"One of {layer.layers} decoder layers under {layer.strategy}, at the step that attends k = {layer.k} keys."
        )
        if not growing:
            unused = layer.keys.numbers[-2] - layer.k
            see = f"Nothing here grows with k: the price is that {unused} rows are read which hold no token yet."
        elif layer.remembers:
            see = (
                f"Follow the thick edges: {' and '.join(growing)} grow because they read every earlier token's "
                "K and V; every other product has one size at every step."
                + (" The old rows of K and V are also copied, to make room for the new ones." if layer.moved else "")
            )
        elif layer.k == layer.first:
            see = "Nearly every edge is thick: the rows that are computed here are computed again at every later step."
        else:
            see = "Nearly every edge is thick: rows that were computed at earlier steps are computed again."
    with_what = "the target" if layer.k is None else "every token"
    dashed = ", dashed ones run once per sentence" if layer["cross.kv"].once else ""
    return (
        f"{where} A box is a matrix product with the shapes of its factors, in letters and in numbers; every edge "
        "carries the shape of the tensor that flows there, and a plus sign adds the input of a part to its output. "
        f"Thick edges grow with {with_what}, thin coloured ones are set by the source "
        f"or by a buffer, grey ones are always the same{dashed}. {see}{_about_prefix(layer)}{_about_beams(layer)}"
    )


def _about_prefix(layer: Layer) -> str:
    """Say which rows prefill fed to the layer."""
    if not layer.prefilled:
        return ""
    return (
        f" Before the first step, prefill ran the layer on {counted(layer.prefilled, 'row')} of the prefix, whose K and"
        " V are kept too."
    )


def _about_beams(layer: Layer) -> str:
    """Say what the beams of a sentence share, and what is copied as they are reordered."""
    if layer.beams == 1:
        return ""
    source = (
        "share its cross-attention K and V, as rows of one product"
        if layer.cross_shared
        else "read cross-attention K and V of their own"
    )
    copied = [
        *(["the old rows of K and V"] if layer.reordered else []),
        *(["a table that says where rows lie"] if layer.has_table else []),
        *(["what is kept of the source"] if layer.cross_reordered else []),
    ]
    before = f" Before the step, {' and '.join(copied)} {_is(copied)} copied in the new order." if copied else ""
    return f" The {layer.beams} beams of a sentence {source}.{before}"


def _is(copied: list[str]) -> str:
    return "is" if len(copied) == 1 and "rows of K" not in copied[0] else "are"
