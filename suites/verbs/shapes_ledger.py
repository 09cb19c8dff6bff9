"""The ledger of the verb ``shapes``: recorded, written into a folder, printed and drawn."""

from __future__ import annotations

import sys
from pathlib import Path

from strategies import config_of, select

from ..ledger.beside import beside
from ..ledger.beside_printed import print_beside
from ..ledger.comparison import OURS
from ..ledger.of_cell import record_cell, record_transformers
from ..ledger.table import default_step, read_ledger, write_ledger
from ..ledger.text import print_comparison, print_ledger
from ..machine.environment import environment
from ..plots import ledger as figures
from ..settings.cells import make_cell
from ..settings.config import ConfigError
from ..settings.executions import require_eager
from ..settings.obstacles import refuse_idle_beams, require_possible
from ..settings.overrides import Job
from ..store.files import write_json, write_text
from ..store.folders import from_here, make_run_dir
from ..telling.beforehand import of_sources
from ..work.memory_fit import require_room, require_room_to_train

WRITES = ("ledger.csv", "ledger_transformers.csv", "environment.json", "config.yaml", "plots")
"""Names in the folder that the verb writes; the first one shows that the folder is its own."""


def show_ledger(
    job: Job, k: int | None, asked: Path | None, form: str, foreign: bool, pictures: bool, wide: bool
) -> None:
    """Record, verify, write, print and, with ``pictures``, draw the ledger of a job's cell at step ``k``.

    Strategies of one or two kinds are printed as one beside its baseline; more of them, or with ``wide``, as the wide
    table. With ``foreign``, the T5 of transformers is recorded too and compared with ours, and nothing is drawn. Raises
    ConfigError, ModelError, StrategyError or LedgerError.
    """
    cell = make_cell(job.config)
    require_possible(cell)
    for line in of_sources(job.config, measures=False):
        print(line, file=sys.stderr)
    config = config_of(cell.model)
    first, last = config.prefix_len, config.target_rows(cell.tgt_len)
    k = k or default_step(last, first)
    if k > last:
        raise ConfigError(
            f"k={k} lies beyond the target length {cell.tgt_len}; give k={first} to k={last}, or a larger tgt_len"
        )
    if k < first:
        raise ConfigError(f"k={k} lies within the prefix of {first} tokens; give k={first} to k={last}")
    strategies = select(list(OURS) if foreign else job.config.strategies)
    require_eager("shapes", strategies, job.config)
    refuse_idle_beams([(cell, strategies)])
    remedy = "give a smaller model, batch or length; its ledger has the same letters"
    require_room("shapes", config, cell, strategies, False, remedy)
    require_room_to_train("shapes", config, cell, remedy)
    theirs = record_transformers(cell, k) if foreign else None
    ledger = record_cell(cell, strategies, k)
    run_dir = make_run_dir(asked, "shapes", beside=WRITES)
    path = write_ledger(ledger, run_dir)
    write_text(run_dir / "config.yaml", job.yaml)
    write_json(run_dir / "environment.json", environment())
    title = f"{cell.model.name}, {cell.dtype} on {cell.device}"
    written = read_ledger(run_dir)
    if theirs is not None:
        path = write_ledger(theirs, run_dir, "ledger_transformers.csv")
        theirs = read_ledger(run_dir, path.name)
        print_ledger(
            theirs, k, cell.src_len, f"T5 of transformers in the shape of {cell.model.name}, fp32 on cpu", form
        )
        print_comparison(written, theirs, k, cell.src_len, form)
    else:
        found = None if wide or form in ("csv", "json") else beside(written, k, cell.src_len)
        if found is None:
            print_ledger(written, k, cell.src_len, title, form)
        else:
            print_beside(found, k, title, form)
        if pictures:
            print("drawing pictures", file=sys.stderr)
            for picture in figures.draw(run_dir, written, k, cell.src_len):
                print(f"picture {from_here(picture.path_png)}", file=sys.stderr)
    print(f"ledger  {from_here(path)}", file=sys.stderr)
