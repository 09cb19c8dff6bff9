"""The process in which a run goes on once CUDA is spoiled: ``python -m suites.jobs.fresh_child``.

It reads two lines per cell, a ``CellJob`` and the faults of the arms that are not to be measured, and measures the
cell. It writes one JSON line for each message:

    {"progress": [METHOD, ARGUMENT, ...]}        a call of the parent's progress
    {"done": true}                               the cell is written
    {"spoiled": [LABEL, {...}, [LABEL, ...]]}    the fields of a SpoiledError, and this process ends
    {"stopped": REASON}                          it was asked to stop, and this process ends
    {"refused": [ERRNO, TEXT, FILE]}             the operating system refused to write the run folder

It ends when its input ends.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import sys
from typing import Any

from ..machine.signals import Stopped, handled
from ..settings.faults import Fault, SpoiledError
from ..words.progress import ToldProgress
from .cell_job import CellJob


def main() -> None:
    """Measure cells until the input ends or CUDA is spoiled."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # a line that a library prints must not look like a message

    def tell(**message: Any) -> None:
        answers.write(json.dumps(message) + "\n")
        answers.flush()

    progress = ToldProgress(lambda *call: tell(progress=call))
    while job := sys.stdin.readline():
        faults = {label: Fault(**fault) for label, fault in json.loads(sys.stdin.readline()).items()}
        try:
            with handled(quiet=True):
                CellJob.of_json(job).run(progress, faults)
        except SpoiledError as spoiled:
            tell(spoiled=[spoiled.label, dataclasses.asdict(spoiled.fault), spoiled.left])
            return
        except Stopped as stopped:
            tell(stopped=stopped.reason)
            return
        except OSError as error:
            tell(refused=[error.errno, error.strerror, error.filename])
        else:
            tell(done=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):  # what was finished is written
        main()
