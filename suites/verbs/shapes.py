"""The verb ``shapes``: every matrix product of the running model, which of them grow, and with what."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from ..settings.config import FILES, ConfigError
from ..settings.rules import shown, whole
from .arguments import Parser

if TYPE_CHECKING:
    import argparse
    from pathlib import Path

    from ..settings.overrides import Job

DEFAULT = ("full_recompute", "static_kv")
"""A strategy and its baseline."""
EVERY = (
    "full_recompute",
    "cross_kv",
    "contiguous_kv(cross=recompute)",
    "contiguous_kv",
    "static_kv(cross=recompute)",
    "static_kv",
    "static_kv(cross=recompute,read=buffer)",
    "static_kv(read=buffer)",
)
SRC_LEN, TGT_LEN = 40, 64
PHRASE = "attention is all you need"
SHAPING = {"search", "search.kind", "search.num_beams"}
"""Keys of a search that change the shapes of a step."""
FOR_PEOPLE = ("table", "md")
"""Formats that come with pictures; the others are for programs."""
FOR_PROGRAMS = ("csv", "json")
FORMATS = (*FOR_PEOPLE, *FOR_PROGRAMS)
_EPILOG = f"""\
Keys are those of run (see run --help): model, seq_len, src_len, tgt_len,
batch_size, strategies, dtype, search.num_beams, ...; besides:

  k=NUMBER    the step to show, by the keys it attends (a third of tgt_len)

Unless said, src_len={SRC_LEN} and tgt_len={TGT_LEN}, so that numbers tell letters apart, and
strategies={",".join(DEFAULT)}. --all: the eight ways to cache.

  python -m suites shapes
  python -m suites shapes "strategies=[full_recompute,cross_kv]" --plots false
  python -m suites shapes search=beam search.num_beams=4
  python -m suites shapes --all model=small --format md
  python -m suites shapes --explain --phrase "sequence to sequence"
"""


def _parser() -> Parser:
    parser = Parser(
        "shapes",
        "Every matrix product of a decode step of the running model: its shape in letters\n"
        "and in numbers, and what it grows with, for one strategy beside its baseline.",
        _EPILOG,
    )
    parser.add_argument("keys", nargs="*", metavar="KEY=VALUE")
    parser.add_argument(
        "--all",
        action="store_true",
        help="the wide table: every strategy, the encoder, training, FLOPs and bytes of each product",
    )
    parser.add_argument("--plots", choices=("true", "false"), help="draw pictures (true); as plots=true or plots=false")
    parser.add_argument(
        "--module",
        choices=("transformers",),
        help="record the T5 of transformers with random weights (model=small unless said) and compare it with ours",
    )
    parser.add_argument(
        "--explain",
        action="store_true",
        help="write a page (Markdown and HTML) that walks through decoding a phrase, with pictures; a checkpoint needs "
        "a tokenizer",
    )
    parser.add_argument("--phrase", help=f'the phrase of that page ("{PHRASE}")')
    parser.add_argument(
        "--format",
        choices=FORMATS,
        help="what standard output gets (table); csv and json: the whole ledger, no pictures",
    )
    parser.add_argument("--json", dest="format", action="store_const", const="json", help="as --format json")
    return parser


def split_k(keys: Sequence[str]) -> tuple[list[str], int | None]:
    """Return the other keys, and the number after ``k=``. Raises ConfigError.

    >>> split_k(["seq_len=8", "k=3"])
    (['seq_len=8'], 3)
    """
    chosen: int | None = None
    others = []
    for key in keys:
        if not key.startswith("k="):
            others.append(key)
            continue
        if chosen is not None:
            raise ConfigError(f"{shown(key)} and k={chosen}: one step is shown; give k once")
        text = key.removeprefix("k=")
        if not (rule := whole(1)).admits(text):
            raise ConfigError(rule.refusal("k", text))
        chosen = int(text)
    return others, chosen


def main(argv: list[str]) -> int:
    """Record, verify, write and print; returns 0. Raises ConfigError, ModelError, StrategyError or LedgerError."""
    args = _parser().parse_intermixed_args(argv)
    from ..settings.effect import PROFILED, SEARCHED, refuse_keys
    from ..settings.overrides import compose_jobs, read_overrides

    keys, k = split_k(args.keys)
    names = {key.lstrip("+").partition("=")[0] for key in keys}
    _refuse_idle(args, names)
    if args.plots:
        keys = [*keys, f"plots={args.plots}"]
    if args.module and "model" not in names:
        keys = ["model=small", *keys]
    if not args.explain and not names & {"seq_len", "src_len", "tgt_len", *FILES}:
        keys = [f"seq_len={SRC_LEN}", f"tgt_len={TGT_LEN}", *keys]  # features have a length of their own
    if "strategies" not in names:
        labels = EVERY if args.all or args.explain else DEFAULT
        keys = [*keys, "strategies=[" + ",".join(f"'{label}'" for label in labels) + "]"]
    overrides = read_overrides(keys)
    idle = {*PROFILED, "seed"} - {"plots"}
    refuse_keys("shapes", overrides.typed, idle, "products have the same shapes whatever it is")
    if flag := "--explain" if args.explain else "--module" if args.module else "":
        why = f"{flag} shows greedy search alone, and shapes without it beams too"
        refuse_keys("shapes", overrides.typed, SEARCHED, why)
    refuse_keys("shapes", overrides.typed, {*SEARCHED} - SHAPING, "products have the same shapes whatever it is")
    jobs = compose_jobs(overrides)
    if len(jobs) != 1 or overrides.show_only:
        raise ConfigError(f"shapes shows one cell, not {len(jobs)}; give each key one value")
    if jobs[0].config.search.kind == "sample":
        raise ConfigError(
            "shapes: search=sample has no effect, as its steps compute what those of search=greedy do; leave it out"
        )
    if args.explain:
        return _explain(jobs[0], k, overrides.run_dir, PHRASE if args.phrase is None else args.phrase)
    from .shapes_ledger import show_ledger

    form = args.format or "table"
    drawn = form in FOR_PEOPLE and jobs[0].config.plots
    show_ledger(jobs[0], k, overrides.run_dir, form, args.module is not None, drawn, wide=args.all)
    return 0


def _refuse_idle(args: argparse.Namespace, names: set[str]) -> None:
    """Raise ConfigError for a flag or key that would have no effect."""
    if name := next(iter(sorted({"linear", "weights", "attention", "tf32"} & names)), None):
        raise ConfigError(
            f"shapes: {name} has no effect, as products have the same shapes under every kernel; leave it out"
        )
    if args.plots and "plots" in names:
        raise ConfigError(f"shapes: --plots {args.plots} and the key plots say the same thing; give one")
    lengths = {"seq_len", "src_len", "tgt_len", "batch_size", *FILES}
    wide = ["--all"] if args.all else []
    plots = ["--plots"] if args.plots else sorted({"plots"} & names)
    idle = {
        "--explain": [
            *(["--format"] if args.format else []),
            *(["--module"] if args.module else []),
            *wide,
            *plots,
            *(lengths & names),
        ],
        "--module": [*wide, *plots, *sorted({"strategies", "dtype", "device"} & names)],
        f"--format {args.format}": plots,
    }
    given = {"--explain": args.explain, "--module": args.module, f"--format {args.format}": args.format in FOR_PROGRAMS}
    for flag, others in idle.items():
        if others and given[flag]:
            raise ConfigError(f"shapes: {others[0]} has no effect with {flag}; leave it out")
    if args.phrase is not None and not args.explain:
        raise ConfigError("shapes: --phrase has no effect without --explain; add it")
    if args.phrase is not None and not args.phrase.strip():
        raise ConfigError(f"shapes: --phrase '{args.phrase}' holds no word; give a phrase, or leave it out")


def _explain(job: Job, k: int | None, asked: Path | None, phrase: str) -> int:
    from strategies import select

    from ..explain.write import explain
    from ..settings.cells import make_cell
    from ..settings.executions import require_eager
    from ..settings.obstacles import refuse_idle_beams
    from ..store.files import write_text
    from ..store.folders import from_here

    strategies, cell = select(job.config.strategies), make_cell(job.config)
    require_eager("shapes", strategies, job.config)
    refuse_idle_beams([(cell, strategies)])
    written = explain(cell, strategies, phrase, k, asked)
    write_text(written[0].parent / "config.yaml", job.yaml)
    for path in written:
        print(from_here(path))
    return 0
