"""The command line as a user has it: a subprocess in a folder of its own."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent
SMALL_MODEL = [
    "model=tiny",
    "model.name=sliver",
    "model.vocab_size=61",
    "model.d_model=24",
    "model.num_heads=2",
    "model.d_kv=8",
    "model.d_ff=32",
    "model.encoder_layers=1",
    "model.decoder_layers=1",
]
"""A model that decodes a token in well under a millisecond."""


def suites(*arguments: str, folder: Path, check: bool = False, **environment: str) -> subprocess.CompletedProcess[str]:
    """``python -m suites ...`` run in ``folder``, with one thread and no colours; run makes no page unless asked."""
    if arguments[0] == "run" and not any(given.startswith(("report=", "-")) for given in arguments[1:]):
        arguments = (*arguments, "report=false")
    if arguments[0] in ("run", "profile", "roofline") and not any("threads=" in given for given in arguments):
        arguments = (*arguments, "threads=1")  # beside other tests, two threads wait for one another
    done = subprocess.run(
        [sys.executable, "-m", "suites", *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "NO_COLOR": "1", **environment},
        capture_output=True,
        text=True,
        timeout=300,
        stdin=subprocess.DEVNULL,
    )
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done
