"""The verb ``shapes``: every matrix product of the running model, which of them grow, and with what."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .arguments import Parser
from .config import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

    from .overrides import Job

DEFAULT = (
    "full_recompute",
    "cross_kv",
    "contiguous_kv(cross=recompute)",
    "contiguous_kv",
    "static_kv(cross=recompute)",
    "static_kv",
    "static_kv(cross=recompute,read=buffer)",
    "static_kv(read=buffer)",
)
PHRASE = "attention is all you need"
FOR_PEOPLE = ("table", "md")
FORMATS = (*FOR_PEOPLE, "csv", "json")
_EPILOG = f"""\
Keys are those of run (see run --help): model, seq_len, src_len, tgt_len, batch_size, strategies, dtype, ...; besides:

  k=NUMBER         the step to show, by the keys it attends (the last one: k = tgt_len)

Strategies are {", ".join(DEFAULT[:4])},
{", ".join(DEFAULT[4:])} unless said.

  python -m suites shapes
  python -m suites shapes k=3 src_len=12 tgt_len=32 "strategies=[static_kv]"
  python -m suites shapes model=small --format md
  python -m suites shapes --explain --phrase "tea for two"
"""


def _parser() -> Parser:
    parser = Parser(
        "shapes", "Every matrix product of the running model: its shape, what it grows with, and when it runs.", _EPILOG
    )
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE")
    parser.add_argument(
        "--module",
        choices=("transformers",),
        help="record the T5 of transformers with random weights (model=small unless said) and compare it with ours",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="write a page (Markdown and HTML) that walks through decoding a phrase, with pictures",
    )
    parser.add_argument("--phrase", default=PHRASE, help=f'the phrase of that page ("{PHRASE}")')
    parser.add_argument(
        "--format",
        choices=FORMATS,
        default="table",
        help="what standard output gets (table); csv and json: the whole ledger, no pictures",
    )
    return parser


def split_k(keys: Sequence[str]) -> tuple[list[str], int | None]:
    """The other keys, and the number of ``k=``. Raises ConfigError.

    >>> split_k(["seq_len=8", "k=3"])
    (['seq_len=8'], 3)
    """
    chosen: int | None = None
    others = []
    for key in keys:
        if not key.startswith("k="):
            others.append(key)
            continue
        text = key.removeprefix("k=")
        if not text.isdecimal() or int(text) < 1:
            raise ConfigError(f"{key} is not allowed; give a whole number of at least 1")
        chosen = int(text)
    return others, chosen


def main(argv: list[str]) -> int:
    """Record, check, write and print. Raises ConfigError, ModelError, StrategyError or LedgerError."""
    try:
        args = _parser().parse_intermixed_args(argv)
    except SystemExit:  # --help has been printed
        return 0
    from .overrides import compose_jobs, read_overrides

    keys, k = split_k(args.keys)
    if args.module and not any(key.startswith("model=") for key in keys):
        keys = ["model=small", *keys]
    overrides = read_overrides(keys)
    jobs = compose_jobs(overrides)
    if len(jobs) != 1 or overrides.show_only:
        raise ConfigError(f"shapes shows one case, not {len(jobs)}; give each key one value")
    job = jobs[0]
    if not any(key.startswith("strategies=") for key in keys):
        job.config.strategies = list(DEFAULT)
    if args.explain:
        return _explain(job, k, overrides.run_dir, args.phrase)
    return _show(job, k, overrides.run_dir, args.format, args.module is not None)


def _explain(job: Job, k: int | None, asked: Path | None, phrase: str) -> int:
    from strategies import select

    from .cells import make_cell
    from .explain.write import explain

    for path in explain(make_cell(job.config), select(job.config.strategies), phrase, k, asked):
        print(path)
    return 0


def _show(job: Job, k: int | None, asked: Path | None, form: str, foreign: bool) -> int:
    from strategies import select

    from .cells import make_cell
    from .environment import environment
    from .folders import make_run_dir
    from .ledger.case import record_case, record_transformers
    from .ledger.comparison import OURS
    from .ledger.table import read_ledger, write_ledger
    from .ledger.text import print_comparison, print_ledger
    from .plots.ledger import draw
    from .results import write_json

    cell = make_cell(job.config)
    k = k or cell.tgt_len
    if k > cell.tgt_len:
        raise ConfigError(
            f"k={k} lies beyond the target length {cell.tgt_len}; give k=1 to k={cell.tgt_len}, or a larger tgt_len"
        )
    theirs = record_transformers(cell, k) if foreign else None
    ledger = record_case(cell, select(list(OURS) if foreign else job.config.strategies), k)
    run_dir = make_run_dir(asked, "shapes")
    path = write_ledger(ledger, run_dir)
    (run_dir / "config.yaml").write_text(job.yaml)
    write_json(run_dir / "environment.json", environment())
    title = f"{cell.model.name}, {cell.dtype} on {cell.device}"
    if theirs is not None:
        path = write_ledger(theirs, run_dir, "ledger_transformers.csv")
        theirs = read_ledger(run_dir, path.name)
        print_ledger(theirs, k, cell.src_len, f"T5 of transformers in the shape of {title}", form)
        print_comparison(read_ledger(run_dir), theirs, k, cell.src_len, form)
    else:
        print_ledger(read_ledger(run_dir), k, cell.src_len, title, form)
        if form in FOR_PEOPLE:
            print("drawing pictures", file=sys.stderr)
            for picture in draw(run_dir, read_ledger(run_dir), k, cell.src_len):
                print(f"picture {picture.path_png}", file=sys.stderr)
    print(f"ledger  {path}", file=sys.stderr)
    return 0
