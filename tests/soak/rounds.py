"""Many short rounds of one cell: memory and the time around the timed body stay flat (``make bench-soak``).

    python -m tests.soak.rounds [ROUNDS]

The cell, its rounds, the stopping rule and the files are those of ``run``. Only the rest before each arm, a sleep, is
left out. Time is CPU time of this process, which other processes of the machine disturb less. Exits with 1 if memory or
time grows.
"""

from __future__ import annotations

import sys
import tempfile
import time
from array import array
from pathlib import Path
from typing import Any

import numpy as np

from strategies import ModelSpec, select
from suites.contenders.running.lineup import Contenders
from suites.judging.ratios import Ratio, paired_ratio
from suites.measuring import arms as arms_module
from suites.measuring import rounds as rounds_module
from suites.measuring.arms import rss_bytes
from suites.measuring.runner import CellRun
from suites.settings.cells import Cell
from suites.settings.config import MeasureConfig
from suites.store.cell_folder import CellWriter
from suites.store.records import Calibration, Round
from suites.timing.one_round import one_round
from suites.words.progress import Progress

SHAPE = {
    "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22, "encoder_layers": 1, "decoder_layers": 1
}  # fmt: skip
CELL = Cell(ModelSpec("sliver", "random", shape=tuple(sorted(SHAPE.items()))), 5, 4, 1, "cpu", "fp32", 1, 0, "fixed")
ARMS = ("full_recompute", "static_kv")
BLOCK = 100
"""Rounds whose times make one value: their median."""
LEAST = 20 * BLOCK
MOST_BYTES = 200_000
"""Greatest growth of resident memory per 1,000 rounds that counts as flat."""
MOST_RATIO, MOST_HIGH = 1.1, 1.3
"""The time around a late round over that around an early one: its interval must begin below the first and end below the
second, so that an interval too wide to tell is not taken for flat."""


class Watched(CellWriter):
    """Writes a cell, and notes what each round cost besides its timed body, and the memory after every ``BLOCK``."""

    def __init__(self, run_dir: Path) -> None:
        super().__init__(run_dir, CELL.id)
        self.around_s, self.rss = array("d"), array("q")
        self.body_s, self._last_s = 0.0, time.process_time()

    def round(self, done: Round | Calibration) -> None:
        """Write a round. The time since the round before, without the timed body, is what this one cost besides."""
        super().round(done)
        now_s = time.process_time()
        if isinstance(done, Round):
            self.around_s.append(now_s - self._last_s - self.body_s)
            if len(self.around_s) % (BLOCK * len(ARMS)) == 0:
                self.rss.append(rss_bytes())
        self._last_s = time.process_time()

    def body(self, *arguments: Any) -> Any:
        """Run the timed body, and note its CPU time."""
        start_s = time.process_time()
        try:
            return one_round(*arguments)
        finally:
            self.body_s = time.process_time() - start_s

    def blocks_s(self) -> np.ndarray:
        """Median time around a whole round, all arms together, of each block of rounds."""
        rounds = len(self.around_s) // (BLOCK * len(ARMS)) * BLOCK
        whole = np.array(self.around_s[: rounds * len(ARMS)]).reshape(-1, len(ARMS)).sum(axis=1)
        return np.median(whole.reshape(-1, BLOCK), axis=1)

    def growth_bytes(self) -> float:
        """Slope of resident memory per 1,000 rounds, after the first fifth, in which pools and caches fill."""
        late = np.array(self.rss[len(self.rss) // 5 :])
        return float(np.polyfit(np.arange(len(late)) * BLOCK / 1000, late, 1)[0])

    def ratio(self) -> Ratio:
        """Time around late rounds over that around early ones: the last tenth against the second tenth."""
        blocks = self.blocks_s()
        tenth = len(blocks) // 10
        return paired_ratio(list(blocks[-tenth:]), list(blocks[tenth : 2 * tenth]))


def soak(rounds: int, folder: Path) -> Watched:
    """Measure a cell for ``rounds`` rounds under a precision that is never reached."""
    measure = MeasureConfig(rounds=2, rounds_max=rounds, precision=1e-9, seconds_max=1e8)
    writer = Watched(folder)
    rounds_module.wait_until_quiet = lambda: None  # type: ignore[attr-defined]
    arms_module.one_round = writer.body  # type: ignore[attr-defined]
    with Progress(1, 1) as progress:
        CellRun(CELL, select(list(ARMS)), measure, writer, progress, Contenders(), {}, {}).run()
    return writer


def is_flat(ratio: Ratio) -> bool:
    """Whether the time around a round shows no growth, in an interval narrow enough to show one.

    >>> [is_flat(Ratio(value, low, high, 10)) for value, low, high in [(1, 0.9, 1.2), (1.7, 1, 3), (1.2, 1.15, 1.25)]]
    [True, False, False]
    """
    return ratio.low <= MOST_RATIO and ratio.high <= MOST_HIGH


def main() -> int:
    """Run, print the figures, and return 1 if something grows."""
    rounds = max(LEAST, int(sys.argv[1])) if sys.argv[1:] else 10_000
    with tempfile.TemporaryDirectory() as folder:
        start = time.perf_counter()
        found = soak(rounds, Path(folder))
        took_s = time.perf_counter() - start
    blocks, ratio, growth = found.blocks_s() * 1e3, found.ratio(), found.growth_bytes()
    print(f"{rounds} rounds of {', '.join(ARMS)} in {took_s:.0f} s")
    print(f"resident memory: {growth / 1e3:+.0f} kB per 1,000 rounds, {found.rss[-1] / 1e6:.0f} MB at the end")
    tenth = len(blocks) // 10
    print(
        f"around the timed body of a round: {np.median(blocks[tenth : 2 * tenth]):.2f} ms early, "
        f"{np.median(blocks[-tenth:]):.2f} ms late, ratio {ratio.value:.2f} [{ratio.low:.2f}, {ratio.high:.2f}]"
    )
    flat = growth <= MOST_BYTES and is_flat(ratio)
    print("flat" if flat else "NOT FLAT")
    return 0 if flat else 1


if __name__ == "__main__":
    sys.exit(main())
