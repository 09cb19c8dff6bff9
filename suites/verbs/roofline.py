"""The verb ``roofline``: the ceilings of this machine, in bytes per second and FLOPs per second, without any model."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from strategies.models.message_text import first_line

from ..settings.config import NO_CUDA, ConfigError
from ..settings.rules import shown
from .arguments import Parser, positive

if TYPE_CHECKING:
    from ..settings.config import RunConfig

ROUNDS = 20
KEYS = ("threads", "device", "hydra.run.dir")
_EPILOG = f"""\
Each kernel is timed in {ROUNDS} rounds, all in each round; its rate in a round is the best of a few runs. The read
bandwidth is that of the fastest read. A table follows, and roofline.json and the plot are written to
results/<date>_roofline/. A run measures the same among its own rounds, and sets its strategies against it.

  python -m suites roofline
  python -m suites roofline threads=1 device=cpu
"""


def _parser() -> Parser:
    parser = Parser("roofline", "What this machine can do at most: bytes and FLOPs a second, measured.", _EPILOG)
    add = parser.add_argument
    add("keys", nargs="*", metavar="KEY=VALUE", help="threads, device and hydra.run.dir, as for run")
    add("--rounds", type=positive, default=ROUNDS, metavar="N", help=f"rounds of all kernels ({ROUNDS})")
    add("--json", action="store_true", help="standard output gets roofline.json instead of the table")
    return parser


def main(argv: list[str]) -> int:
    """Measure, write and print; returns 0. Raises ConfigError for keys without effect, or if the device is missing."""
    args = _parser().parse_intermixed_args(argv)
    from ..settings.overrides import compose_jobs, read_overrides

    overrides = read_overrides(args.keys)
    for key, one in overrides.typed.items():
        if key not in KEYS:
            raise ConfigError(f"roofline: {key}={shown(one.text)} has no effect; give only {', '.join(KEYS)}")
    jobs = compose_jobs(overrides)
    if len(jobs) != 1 or overrides.show_only:
        raise ConfigError(f"roofline measures one cell, not {len(jobs)}; give each key one value")
    return _measure(jobs[0].config, overrides.run_dir, args.rounds, args.json)


def _measure(config: RunConfig, asked: Path | None, rounds: int, as_json: bool) -> int:
    import torch

    from ..ceilings.meter import Meter
    from ..measuring.spoiled import answering
    from ..settings.cells import make_cell
    from ..settings.config import DTYPES
    from ..store.files import write_json
    from ..store.folders import from_here, make_run_dir
    from ..words.progress import Progress
    from .roofline_report import Roofline, draw, print_table

    cell = make_cell(config)
    device, threads = cell.device, cell.threads
    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"{NO_CUDA}; give device=cpu")
    torch.set_num_threads(threads)
    try:
        with answering(""):
            meter = Meter(device, DTYPES)
    except (MemoryError, RuntimeError) as error:
        raise ConfigError(f"roofline: no room to measure in ({first_line(error)}); free some memory") from None
    run_dir = make_run_dir(asked, "roofline")
    rates: list[dict[str, float]] = []
    with Progress(rounds, 1) as progress:
        progress.cell(f"{device}, {rounds} rounds of {len(meter.kernels)} kernels")
        for _ in range(rounds):
            with answering(""):
                rates.append(meter.measure())
            progress.advance(1)
    found = Roofline.of(device, threads, meter, rates)
    write_json(run_dir / "roofline.json", found.plain())
    picture = draw(found, run_dir)
    if as_json:
        print(json.dumps(found.plain(), indent=1, allow_nan=False))
    else:
        print_table(found)
    print(f"picture {from_here(picture)}", file=sys.stderr)
    print(f"figures {from_here(run_dir / 'roofline.json')}", file=sys.stderr)
    return 0
