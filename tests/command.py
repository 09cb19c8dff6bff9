"""The command line as a user has it: a process in a folder of its own."""

import importlib
import multiprocessing
import os
import shutil
import sys
import tempfile
from multiprocessing import forkserver
from pathlib import Path
from subprocess import CompletedProcess
from unittest import mock

from . import frozen, smaller

ROOT = Path(__file__).resolve().parent.parent
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


def small_model(**sizes: int) -> list[str]:
    """``SMALL_MODEL`` with other sizes."""
    keys = dict(key.split("=") for key in SMALL_MODEL)
    return [f"{key}={value}" for key, value in {**keys, **{f"model.{name}": sizes[name] for name in sizes}}.items()]


LIBRARIES = ["torch", "hydra", "pandas", "scipy.stats", "matplotlib.figure", "pytest", "suites.verbs.run"]
LIBRARIES += ["suites.verbs.collected"]
"""No module that registers operators with torch: copies of the packages are imported after these, and would register
them again."""
OWN = {"conf", "strategies", "suites", "tests"}
FORKED = {"OMP_NUM_THREADS": "1", "NO_COLOR": "1"}


def suites(
    *arguments: str, folder: Path, packages: Path = ROOT, check: bool = False, **environment: str
) -> CompletedProcess[str]:
    """``python -m suites ...`` run in ``folder``, with one thread and no colours; run makes no plots or page unless
    asked. ``packages`` is where the project's own packages lie: here, or a copy of them.
    """
    if "--resume" in arguments:
        return _forked("suites", arguments, folder, packages, environment)
    if arguments[0] == "run" and not {"-h", "--help"} & set(arguments):
        arguments = (*arguments, *(f"{key}=false" for key in ("report", "plots") if not _given(key, arguments)))
    if arguments[0] in ("run", "profile", "roofline") and not _given("threads", arguments):
        arguments = (*arguments, "threads=1")  # beside other tests, two threads wait for one another
    done = _forked("suites", arguments, folder, packages, environment)
    if check:
        assert done.returncode == 0, done.stdout + done.stderr
    return done


def killed(point: str, count: int, *arguments: str, folder: Path, deed: str = "kill") -> CompletedProcess[str]:
    """``python -m suites ...`` in a process that kills itself at a point of ``tests.killed``, or does that deed."""
    return _forked("tests.killed", (deed, point, str(count), *arguments), folder, ROOT, {})


def copy_packages(root: Path, *drop_ins: str) -> Path:
    """Copy the project's packages into ``root``, where more files disturb nobody, and return it.

    ``drop_ins`` are modules of ``tests/drop_ins`` to put among the strategies.
    """
    for package in ("strategies", "suites", "conf"):
        shutil.copytree(ROOT / package, root / package, ignore=shutil.ignore_patterns("__pycache__"))
    for name in drop_ins:
        shutil.copy(ROOT / "tests" / "drop_ins" / f"{name}.py", root / "strategies")
    return root


def conformance_kit(checkout: Path, *arguments: str) -> CompletedProcess[str]:
    """``python -m pytest ...`` on the conformance kits, run in a copy of the packages and of the kits.

    Without pytest's plugins and the options for them: they take longer to load than the kit takes to run.
    """
    kits = [f"tests/test_conformance{of}.py" for of in ("", "_beams", "_prefix")]
    options = (*kits, "-o", "addopts=", "-p", "no:cacheprovider", *arguments)
    return _forked("pytest", options, checkout, checkout, {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"})


def _forked(
    module: str, arguments: tuple[str, ...], folder: Path, packages: Path, environment: dict[str, str]
) -> CompletedProcess[str]:
    """The command in a process that is forked from one that has imported the libraries: importing is most of it."""
    forked = multiprocessing.get_context("forkserver")
    forked.set_forkserver_preload(LIBRARIES)
    with mock.patch.dict(os.environ, FORKED):
        forkserver.ensure_running()
    with tempfile.TemporaryDirectory() as written:
        texts = Path(written, "stdout"), Path(written, "stderr")
        environment = {**os.environ, **FORKED, **environment}
        process = forked.Process(target=_main, args=(module, arguments, folder, packages, environment, *texts))
        process.start()
        process.join(300)
        if process.is_alive():
            process.kill()
            process.join()
            raise AssertionError(f"no end of {arguments}")
        return CompletedProcess(arguments, process.exitcode, *(path.read_text() for path in texts))


def _given(key: str, arguments: tuple[str, ...]) -> bool:
    return any(argument.startswith(f"{key}=") for argument in arguments)


def _main(
    module: str,
    arguments: tuple[str, ...],
    folder: Path,
    packages: Path,
    environment: dict[str, str],
    stdout: Path,
    stderr: Path,
) -> None:
    """In the forked process: become the command."""
    frozen.keep()
    if packages != ROOT:
        for name in [name for name in sys.modules if name.partition(".")[0] in OWN]:
            del sys.modules[name]
        sys.path[:] = [str(packages), *(path for path in sys.path if Path(path or ".").resolve() != ROOT)]
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(folder)
    smaller.use()
    assert Path(sys.modules["suites"].__file__ or "").is_relative_to(packages)
    for stream, path in ((sys.stdout, stdout), (sys.stderr, stderr)):
        os.dup2(os.open(path, os.O_WRONLY | os.O_CREAT), stream.fileno())
    sys.argv = [module, *arguments]
    main = importlib.import_module("suites.__main__" if module == "suites" else module).main
    sys.exit(main())
