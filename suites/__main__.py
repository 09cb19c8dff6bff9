"""The command line, ``python -m suites VERB ...`` or ``decodebench VERB ...``.

Each verb is a module of ``suites.verbs`` with a function ``main(arguments)``.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module

from .verbs import VERBS, streams, system
from .version import __version__

HUGE_PAGES = "THP_MEM_ALLOC_ENABLE"
"""Environment variable that makes torch ask Linux for pages of 2 MiB for large tensors, in contenders' processes too.

A decode step streams through all weights, and larger pages make that faster (docs/performance.md). Torch reads the
variable once, at its first allocation.
"""
USAGE = """\
decodebench compares decoding strategies (KV caches) of an encoder-decoder
Transformer: one model, one set of weights.

usage: python -m suites VERB [ARGUMENTS]     (or: decodebench VERB [ARGUMENTS])

{verbs}

python -m suites VERB --help says more of each; --version says which version
this is. Results go to standard output, progress and remarks to standard error.
Exit code: 0 good, 1 otherwise (a mistake, a case that failed, strategies that
disagree, a comparison that is worse), 130 interrupted, 143 and 129 stopped by
SIGTERM and SIGHUP. NO_COLOR is heeded.
Start with:

    python -m suites run +sweep=seq_len
    python -m suites decode "attention is all you need"
"""


def usage() -> str:
    """The help of the whole command."""
    return USAGE.format(verbs="\n".join(f"  {verb:10} {summary}" for verb, summary in VERBS.items()))


def fail(message: str) -> int:
    """Print one line on standard error and return 1, the exit code of a mistake."""
    print(f"decodebench: {message}", file=sys.stderr)
    return 1


def main(argv: list[str] | None = None) -> int:
    """Run a verb and return the exit code: 0 if all is good, 1 otherwise, 128 + its number on a signal to stop."""
    os.environ.setdefault(HUGE_PAGES, "1")
    streams.prepare()
    try:
        os.getcwd()  # noqa: PTH109 - a deleted folder is told before libraries look for it
        code = _main(argv)
        sys.stdout.flush()
    except BrokenPipeError:
        streams.silence()
        return 1
    except OSError as error:
        return fail(system.told(streams.named(error)))
    return code


def _main(argv: list[str] | None) -> int:
    verb, *arguments = (sys.argv[1:] if argv is None else argv) or ["--help"]
    if verb in ("-h", "--help", "help"):
        print(usage(), end="")
        return 0
    if verb in ("-V", "--version"):
        print(f"decodebench {__version__}")
        return 0
    from .settings.own_package import foreign

    if line := foreign("strategies"):
        return fail(line)
    if verb not in VERBS:
        from .settings.catalog import did_you_mean
        from .settings.rules import shown

        return fail(f"unknown verb '{shown(verb)}'; {did_you_mean(verb, VERBS)}known: {', '.join(VERBS)}")
    try:
        code: int = import_module(f"suites.verbs.{verb}").main(arguments)
        return code
    except SystemExit as done:
        if done.code not in (0, None):
            raise
        return 0  # a parser has printed the help of its verb
    except KeyboardInterrupt as stopped:
        print("decodebench: interrupted; what was finished is kept", file=sys.stderr)
        return getattr(stopped, "code", 130)
    except Exception as error:
        from strategies import Mistake

        if isinstance(error, Mistake):
            return fail(str(error))
        if "CUDA error: " in str(error):
            from strategies.models.message_text import described

            return fail(f"{described(error)}; see whether the GPU works (nvidia-smi), and run again")
        raise


if __name__ == "__main__":
    sys.exit(main())
