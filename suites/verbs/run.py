"""The verb ``run``: measure one cell, or a sweep, and go on with a run that is not whole.

It reads overrides, composes the configuration of every job so that mistakes are refused at once, freezes the plan in
the run folder, has its cells measured, and collects what they wrote.
"""

from __future__ import annotations

import contextlib
import io
import sys

from ..settings.config import ConfigError
from ..settings.overrides import compose_jobs, read_overrides
from .run_flags import split_flags

LEGEND = "--legend"


def main(arguments: list[str]) -> int:
    """Run. Returns 0 if every case was measured or skipped, else 1. With --json, standard output gets data alone."""
    if {"-h", "--help"} & set(arguments):
        from .help import run_help, topics_of

        print(run_help(topics_of(arguments)), end="")
        return 0
    if LEGEND in arguments:
        if arguments != [LEGEND]:
            raise ConfigError(f"{LEGEND} explains the closing table and runs nothing; give it alone")
        from ..telling.legend import legend
        from ..words.paragraphs import filled

        print(filled(legend()))
        return 0
    flags, rest = split_flags(arguments)
    if flags.json and flags.no_wait:
        raise ConfigError("--json is not allowed with --no-wait, as there are no results yet; leave it out")
    if flags.resume is None:
        overrides = read_overrides(rest)
        if overrides.show_only:
            if flags.given:
                raise ConfigError(f"{flags.given[0]} is not allowed where nothing is run; leave it out")
            if overrides.typed:
                compose_jobs(overrides)
            return _show(overrides.arguments)
        jobs = compose_jobs(overrides)
    from .run_folder import measure_jobs, resume

    with contextlib.redirect_stdout(sys.stderr) if flags.json else contextlib.nullcontext():
        run_dir, code = measure_jobs(overrides, jobs, flags) if flags.resume is None else resume(flags, rest)
    if flags.json:
        from .run_json import as_json

        print(as_json(run_dir))
    return code


def _show(arguments: list[str]) -> int:
    """Have Hydra print what was asked for.

    Its output is kept and printed afterwards: Hydra turns a closed standard output into a traceback.
    """
    told = io.StringIO()
    try:
        with contextlib.redirect_stdout(told):
            from ..jobs.hydra_jobs import Jobs, hand_over

            hand_over(arguments, Jobs())
            return 0
    finally:
        if told.getvalue():
            print(told.getvalue(), end="")
