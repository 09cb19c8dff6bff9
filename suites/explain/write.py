"""Write page.md and page.html into a run folder: walk through a phrase, record its ledger, and draw."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

import torch

from strategies import Strategy, parse

from ..ledger.of_cell import load, record_cell
from ..ledger.table import default_step, read_ledger, write_ledger
from ..machine.environment import environment
from ..plots.ledger import draw
from ..settings.cells import Cell
from ..settings.config import ConfigError
from ..settings.texts import encoded, in_language, output_limit, words_of
from ..store.files import write_json, write_text
from ..store.folders import make_run_dir
from .page import html_page, markdown_page
from .walk import read_walk, walk, write_walk

WRITES = ("page.md", "ledger.csv", "page.html", "walk.json", "environment.json", "config.yaml", "plots")
FULL, CACHED = "full_recompute", "contiguous_kv"


def explain(cell: Cell, strategies: Sequence[Strategy], phrase: str, k: int | None, asked: Path | None) -> list[Path]:
    """Write the page for a phrase and return the paths. Raises ConfigError, ModelError, TextError or LedgerError.

    ``k`` are the keys of the step to look at, by default a third of those of the last. ``asked`` is the run folder, by
    default results/<date>_explain.
    """
    if cell.model.source == "random" or cell.device != "cpu":
        raise ConfigError(
            "--explain decodes a phrase on the CPU, with the embedded model or a checkpoint that has a tokenizer; give "
            "model=pronounce device=cpu, or model=checkpoint model.checkpoint=DIR device=cpu"
        )
    ids = encoded([phrase], cell.model, "--phrase: text")[0]
    given = [f"model.{name}={json.dumps(value, separators=(',', ':'))}" for name, value in cell.model.shape]
    cell = dataclasses.replace(cell, model=in_language(cell.model))
    model = load(cell)
    seen = walk(model, parse(CACHED), ids, output_limit(model.config, len(ids)), words_of(cell.model))
    if cell.model.source == "checkpoint":
        seen = dataclasses.replace(seen, checkpoint=cell.model.name, given=given)
    steps, first = len(seen.output), model.config.prefix_len
    last = model.config.target_rows(steps)
    if k is not None and k > last:
        raise ConfigError(f"k={k} lies beyond the {steps} steps of this phrase; give k={first} to k={last}")
    if k is not None and k < first:
        raise ConfigError(f"k={k} lies within the prefix of {first} tokens; give k={first} to k={last}")
    k = k or default_step(last, first)
    cell = dataclasses.replace(cell, src_ids=(ids,), src_len=len(ids), tgt_len=steps, batch_size=1)
    every = list(dict.fromkeys([parse(FULL), parse(CACHED), *strategies]))
    ledger = record_cell(cell, every, k, torch.tensor([seen.fed_N]))
    run_dir = make_run_dir(asked, "explain", beside=WRITES)
    write_ledger(ledger, run_dir)
    write_walk(seen, run_dir)
    write_json(run_dir / "environment.json", environment())
    return write_page(run_dir, phrase, k)


def write_page(run_dir: Path, phrase: str, k: int) -> list[Path]:
    """Write page.md, page.html and the pictures, from ledger.csv and walk.json in the folder."""
    ledger, seen = read_ledger(run_dir), read_walk(run_dir)
    pictures = draw(run_dir, ledger, k, len(seen.source))
    text = markdown_page(phrase, seen, ledger, k, CACHED, FULL, pictures)
    written = []
    for name, content in (("page.md", text), ("page.html", html_page(text, run_dir))):
        write_text(run_dir / name, content)
        written.append(run_dir / name)
    return written
