"""Runs that are killed at random points and resumed: ``python -m tests.soak.resume [TRIES] [FIRST SEED]``."""

from __future__ import annotations

import sys
import tempfile
from collections import Counter
from pathlib import Path

from tests.resuming import kill_and_resume


def main(tries: int = 50, first: int = 0) -> None:
    """Kill and resume a small sweep ``tries`` times, each with its own seed. Raises AssertionError for a bad end."""
    killed: Counter[str] = Counter()
    for number, seed in enumerate(range(first, first + tries), 1):
        with tempfile.TemporaryDirectory() as folder:
            done = kill_and_resume(seed, Path(folder))
        killed.update(one.split()[0] for one in done if one.endswith("killed"))
        print(f"{number} of {tries}, seed {seed}: {', '.join(done)}; every row once", flush=True)
    print(f"{tries} runs came to every row once; kills by point: {dict(killed.most_common())}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
