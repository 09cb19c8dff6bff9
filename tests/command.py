"""The command line as a user has it: a process in a folder of its own."""

import gc
import multiprocessing
import os
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from . import small_buffer

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
LIBRARIES = ["torch", "hydra", "pandas", "scipy.stats", "matplotlib.figure", "suites.verbs.run", "suites.verbs.collect"]
FORKED = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def suites(*arguments: str, folder: Path, check: bool = False, **environment: str) -> CompletedProcess[str]:
    """``python -m suites ...`` run in ``folder``, with one thread and no colours; run makes no plots or page unless
    asked. The process is forked from one that has imported the libraries, as importing them is most of a command.
    """
    if arguments[0] == "run" and not {"-h", "--help"} & set(arguments):
        arguments = (*arguments, *(f"{key}=false" for key in ("report", "plots") if not _given(key, arguments)))
    if arguments[0] in ("run", "profile", "roofline") and not _given("threads", arguments):
        arguments = (*arguments, "threads=1")  # beside other tests, two threads wait for one another
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(LIBRARIES)
    with mock.patch.dict(os.environ, FORKED):
        forkserver.ensure_running()
    with tempfile.TemporaryDirectory() as written:
        texts = Path(written, "stdout"), Path(written, "stderr")
        environment = {**os.environ, **FORKED, **environment}
        process = forked.Process(target=_main, args=(arguments, folder, environment, *texts))
        process.start()
        process.join(300)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"no end of {arguments}")
        done = CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in texts))
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def _given(key: str, arguments: tuple[str, ...]) -> bool:
    return any(argument.startswith(f"{key}=") for argument in arguments)


def _main(arguments: list[str], folder: Path, environment: dict[str, str], stdout: Path, stderr: Path) -> None:
    """In the forked process: become the command. What was imported before is no garbage to look at again and again."""
    gc.freeze()
    small_buffer.use()
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    for stream, path in ((sys.stdout, stdout), (sys.stderr, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.argv = ["suites", *arguments]
    from suites.__main__ import main

    sys.exit(main())
