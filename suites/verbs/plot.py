"""The verb ``plot``: draw the plots of a run again from its tables, which it can first make again from raw rounds."""

from __future__ import annotations

from pathlib import Path

from ..settings.config import ConfigError
from ..store.files import exists
from .arguments import Parser

_EPILOG = """\
  python -m suites plot results/latest
  python -m suites plot results/latest --retable
"""


def _parser() -> Parser:
    parser = Parser("plot", "Draw the plots of a run again.", _EPILOG)
    parser.add_argument("dir", type=Path, nargs="?", default=Path("results/latest"), help="run folder (results/latest)")
    parser.add_argument(
        "--retable",
        action="store_true",
        help="first make the tables anew from the raw rounds, and say what they hold",
    )
    return parser


def main(arguments: list[str]) -> int:
    """Draw the plots and print their paths. Raises ResultsError if the folder is not a run."""
    options = _parser().parse_args(arguments)
    if exists(options.dir / "ledger.csv") and not exists(options.dir / "table.csv"):
        return _draw_ledger(options.dir)
    if options.retable:
        from .collected import collecting, tabulate

        with collecting(options.dir):
            written = tabulate(options.dir).plots
    else:
        from ..plots import draw
        from ..tables.role_table import read_roles
        from ..tables.table_files import read_tables

        table, steps = read_tables(options.dir)
        written = draw(options.dir, table, steps, read_roles(options.dir, table))
        if not written:
            raise ConfigError(f"plot: no case of {options.dir} was measured, so there is nothing to draw")
    for path in written:
        print(path)
    return 0


def _draw_ledger(folder: Path) -> int:
    """Draw the pictures of a folder that ``shapes`` wrote, at the source length with the most steps."""
    from ..ledger.table import default_step, read_ledger
    from ..plots.ledger import draw

    ledger = read_ledger(folder)
    src_len = int(ledger.dropna(subset="k").groupby("src_len")["k"].nunique().sort_values().index[-1])
    steps = ledger.loc[ledger["src_len"] == src_len, "k"].dropna().astype(int)
    wanted = default_step(int(ledger["tgt_len"].max()))
    k = wanted if wanted in set(steps) else int(steps.max())
    for picture in draw(folder, ledger, k, src_len):
        print(picture.path_png)
    return 0
