"""Pictures of a ledger, drawn from ledger.csv alone. Each has a caption that explains it to a student."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from ...store.files import ResultsError
from ..style import save, title_of
from . import dimensions, flops, layer, matrices, traffic
from .flow import can_draw, read_layer

__all__ = ["Picture", "draw", "file_names"]


@dataclass(frozen=True)
class Picture:
    """A figure on disk: ``path_png``, and an SVG beside it. ``title`` says what is seen, ``caption`` how to read it."""

    name: str
    path_png: Path
    title: str
    caption: str

    @property
    def path_svg(self) -> Path:
        """Path of the SVG file."""
        return self.path_png.with_suffix(".svg")


def draw(run_dir: Path, ledger: pd.DataFrame, k: int, src_len: int) -> list[Picture]:
    """Write the pictures into ``run_dir``/plots: a decoder layer per strategy, and sizes, FLOPs and bytes against k.

    The layers are drawn at step k. A layer whose products are not those of our model is left out. Raises ResultsError
    if the ledger has no step k at that source length.
    """
    mine = ledger[ledger["src_len"] == src_len]
    if mine.empty:
        raise ResultsError(f"the ledger has no rows of src_len={src_len}; give one of {sorted(set(ledger['src_len']))}")
    strategies = list(dict.fromkeys(map(str, mine["strategy"])))
    layers = [read_layer(mine, strategy, k, src_len) for strategy in strategies if can_draw(mine, strategy)]
    names = file_names(strategies)
    folder = run_dir / "plots"
    pictures = [_write(layer.figure(shown), layer.caption(shown), folder, names[shown.strategy]) for shown in layers]
    curves = {module.NAME: module.draw(mine, src_len) for module in (matrices, dimensions, flops, traffic)}
    return pictures + [_write(figure, caption, folder, name) for name, (figure, caption) in curves.items()]


def _write(figure: Figure, caption: str, folder: Path, name: str) -> Picture:
    path_png, _ = save(figure, folder, name)
    return Picture(name, path_png, title_of(figure), caption)


def file_names(strategies: Iterable[str]) -> dict[str, str]:
    """Map each strategy to the name of its layer's files, without suffix. Names differ even if upper case is ignored.

    >>> file_names(["static_kv(read=buffer)"])
    {'static_kv(read=buffer)': 'layer_static_kv-read-buffer'}
    """
    found: dict[str, str] = {}
    for strategy in strategies:
        plain = "layer_" + (re.sub(r"\W+", "-", strategy, flags=re.ASCII).strip("-") or "strategy")
        taken, name, number = {n.lower() for n in found.values()}, plain, 2
        while name.lower() in taken:
            name, number = f"{plain}-{number}", number + 1
        found[strategy] = name
    return found
