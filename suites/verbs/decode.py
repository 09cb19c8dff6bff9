"""The verb ``decode``: decode texts with every strategy, check that they agree, and show their times."""

from __future__ import annotations

import dataclasses
import random
import re
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from ..settings.config import DEVICES, DTYPES, ConfigError, MeasureConfig, RunConfig
from .arguments import Parser, positive

if TYPE_CHECKING:
    from strategies import Strategy

    from ..settings.cells import Cell
    from .decode_report import Decoded

SUMMARY = "pronounce a phrase, or decode a text, with every strategy and see that they agree"
ROUNDS = 3
_EPILOG = f"""\
Each argument is a phrase, each line of a file is one: all are decoded as one batch, padded to the longest.
The embedded model pronounces them. With --model they are texts for the tokenizer of a checkpoint folder.
The table holds medians of {ROUNDS} interleaved rounds: prefill = encoder and cross-attention K/V if cached;
total = prefill and steps; a step = (total - prefill) / steps; ratio = total / total of full_recompute in the
same round. A strategy agrees if its logits equal those of full_recompute at every step, within rounding. An
approximate one need not: how far it departs is told.

  python -m suites decode "attention is all you need"
  python -m suites decode --strategies "static_kv(read=buffer),contiguous_kv" tea "two words"
  python -m suites decode --file phrases.txt
  python -m suites decode --model DIR "translate English to German: good morning"
"""


def _parser() -> Parser:
    parser = Parser("decode", f"{SUMMARY.capitalize()}.", _EPILOG)
    add = parser.add_argument
    add("phrases", nargs="*", metavar="PHRASE", help="quote phrases of several words; none: lines of standard input")
    add("--model", metavar="DIR", help="checkpoint folder with a tokenizer (the embedded model)")
    add("--file", metavar="FILE", help="phrases, one a line; - for standard input")
    add("--strategies", default="core", help="core, grid, all, or names with options, split by commas (core)")
    add("--max-new", type=positive, metavar="N", help="tokens at most (2 * source tokens + 8)")
    add("--threads", type=positive, metavar="N", help="CPU threads within an operator (every core that it may use)")
    add("--device", choices=DEVICES, default="auto", help="auto takes CUDA where it is (auto)")
    add("--dtype", choices=DTYPES, default="fp32", help="type of weights and K/V (fp32)")
    add("--json", action="store_true", help="standard output gets data instead of the table")
    return parser


def split_names(text: str) -> str | list[str]:
    """Split ``core,static_kv(capacity=64,read=buffer)`` at its outer commas; a single name stays a string.

    >>> split_names("static_kv(capacity=64,read=buffer), cross_kv")
    ['static_kv(capacity=64,read=buffer)', 'cross_kv']
    """
    names = [name.strip() for name in re.split(r",(?![^()]*\))", text) if name.strip()]
    return names[0] if len(names) == 1 else names


def read_phrases(phrases: Sequence[str], file: str | None) -> list[str]:
    """Return the phrases of the command line, of a file's lines, or of standard input; blank lines are skipped.

    Raises ConfigError if there is none, if two sources are given, or if a file cannot be read as text.
    """
    if phrases:
        if file is not None:
            raise ConfigError(f"decode: a phrase and --file {file}: give one or the other")
        return list(phrases)
    if file is None and sys.stdin.isatty():
        raise ConfigError('decode: nothing to decode; give a "phrase", --file FILE, or lines on standard input')
    name = "standard input" if file in (None, "-") else str(file)
    try:
        place = Path(name).expanduser()
        if file not in (None, "-") and place.exists() and not (place.is_file() or place.is_dir()):
            raise ConfigError(f"decode: {name} is no file; give a file of text, one phrase per line")
        text = sys.stdin.read() if file in (None, "-") else place.read_text(encoding="utf-8")
    except OSError as error:
        raise ConfigError(f"decode: cannot read {name}: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ConfigError(
            f"decode: cannot read {name}: not {error.encoding.upper()} text at byte {error.start}"
        ) from None
    lines = [line for line in text.splitlines() if line.strip()]
    if not lines:
        raise ConfigError(f"decode: {name} holds no phrase; give one per line")
    return lines


def main(argv: list[str]) -> int:
    """Decode and print. Returns 0 if every strategy agrees, 1 otherwise.

    Raises ConfigError, ModelError, StrategyError or TextError.
    """
    args = _parser().parse_args(argv)
    phrases = read_phrases(args.phrases, args.file)

    from strategies import ModelSpec, config_of, parse, select

    from ..measuring.admission import ORACLE
    from ..settings.cells import make_cell
    from ..settings.obstacles import obstacle, refuse_idle_beams
    from ..settings.texts import encoded, output_limit
    from ..telling.beforehand import of_generation
    from .decode_report import as_json, print_report
    from .decoded_text import checkpoint_of, words_of

    embedded = {"name": "pronounce", "source": "pronounce"}
    model, note = (embedded, "") if args.model is None else checkpoint_of(args.model)
    spec = ModelSpec.of(model)
    rows = encoded(phrases, spec, "decode: text")
    src_len = max(map(len, rows))
    oracle = parse(ORACLE)
    strategies = [oracle, *(s for s in select(split_names(args.strategies)) if s != oracle)]
    config = RunConfig(
        model=model,
        src_len=src_len,
        tgt_len=args.max_new or output_limit(config_of(spec), src_len),
        batch_size=len(rows),
        device=args.device,
        dtype=args.dtype,
        threads=args.threads,
        measure=MeasureConfig(rounds=ROUNDS, stop="eos"),
    )
    cell = dataclasses.replace(make_cell(config), src_ids=rows)
    refuse_idle_beams([(cell, strategies)])
    if args.model is not None:
        if line := obstacle(cell):
            raise ConfigError(f"decode: {line.replace('tgt_len=', '--max-new ')}")
        for line in [*([note] if note else []), *of_generation(config)]:
            print(line, file=sys.stderr)
    words = words_of(spec, phrases)
    decoded = measure(cell, strategies)
    print(as_json(words, decoded)) if args.json else print_report(cell, words, decoded)
    return 1 if any(arm.agreement.reason for arm in decoded) else 0


def measure(cell: Cell, strategies: Sequence[Strategy]) -> list[Decoded]:
    """Decode the cell's token ids: equality, one warm-up round, then rounds. The first strategy is the oracle.

    A strategy that disagrees or fails is not timed. Raises ConfigError if the device is not there, StrategyError if a
    strategy cannot serve the cell, NotFiniteError if the oracle's logits are not finite, SpoiledError if a
    strategy spoils CUDA.
    """
    import torch

    from strategies import DTYPES as TORCH_DTYPES
    from strategies import StrategyError, config_of, load_model

    from ..measuring.arms import StrategyArm, collector_set_aside
    from ..measuring.equality import Agreement, check
    from ..measuring.spoiled import answering
    from ..settings.faults import Fault, contained
    from ..settings.inputs import make_inputs
    from ..timing.clock import clocks
    from ..words.progress import Progress
    from ..work.memory_fit import require_room
    from .decode_report import Decoded

    if cell.device == "cuda" and not torch.cuda.is_available():
        raise ConfigError("decode: --device cuda: no CUDA device here; give --device cpu")
    padded = len(set(map(len, cell.src_ids or ()))) > 1
    require_room(
        "decode", config_of(cell.model), cell, strategies, padded, "give a smaller --max-new, or fewer phrases"
    )
    torch.set_num_threads(cell.threads)
    model = load_model(cell.model, TORCH_DTYPES[cell.dtype], cell.device)
    inputs = make_inputs(cell, model.config)
    arms: list[StrategyArm] = []
    told: dict[str, Agreement] = {}

    def lose(label: str, fault: Fault) -> None:
        if not fault.traceback:  # a refusal, whose reason says what to give instead
            raise StrategyError(fault.reason)
        told.setdefault(label, Agreement()).fail(fault)
        marks_s[label] = []

    marks_s: dict[str, list[list[float]]] = {strategy.label: [] for strategy in strategies}
    for strategy in strategies:
        with contained(partial(lose, strategy.label)), answering(strategy.label):
            arms.append(StrategyArm(strategy, model, inputs, cell))
    order, clock = random.Random(cell.seed), clocks(cell.device)[0]
    with Progress(len(arms) * (ROUNDS + 2), 1) as progress:
        progress.cell(cell.title)
        with answering(arms[0].label):
            found = check(
                arms[0], arms, cell.dtype, arms[0].search(), False, lambda arm: progress.advance(1 / cell.tgt_len)
            )
        told |= {arm.label: agreement for arm, agreement in zip(arms, found, strict=True)}
        with collector_set_aside():
            for index in range(-1, ROUNDS):
                good = [arm for arm in arms if not told[arm.label].reason]
                for arm in order.sample(good, len(good)):
                    with contained(partial(lose, arm.label)), answering(arm.label):
                        done = arm.round(index, index < 0, clock)
                        progress.advance(1)
                        if not done.warmup:
                            marks_s[arm.label].append(done.marks_s)
    tokens = {arm.label: arm.token_BN for arm in arms}
    return [Decoded(label, told[label], tokens.get(label), marks) for label, marks in marks_s.items()]
