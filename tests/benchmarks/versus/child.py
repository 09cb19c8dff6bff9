"""A worker in a process of its own, which imports the packages of one tree."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Self

WORKER = Path(__file__).with_name("worker.py")


class ChildError(RuntimeError):
    """The worker ended. The message is one line."""


class UnfitError(ChildError):
    """The packages of the tree called ``name`` do not fit the worker. The message is one line."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__(f"the packages of the {name} do not fit the worker ({reason})")
        self.name = name


class Child:
    """A worker's process, which ends with the ``with`` block. An interrupt of the terminal does not reach it."""

    def __init__(self, name: str, tree: Path, threads: int) -> None:
        self.name = name
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [sys.executable, "-P", WORKER],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            cwd=tree,
            env={**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": str(threads)},
            process_group=0,  # no session of its own: on a busy machine, Linux shares CPU time between sessions
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._process.kill()
        self._process.communicate()
        self._errors.close()

    def ask(self, request: Any) -> dict[str, Any]:
        """Send one request and return the reply. Raises ChildError or its subclass UnfitError."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        try:
            print(json.dumps(request), file=self._process.stdin, flush=True)
            reply = self._process.stdout.readline()
        except BrokenPipeError:
            reply = ""
        if not reply:
            self._errors.seek(0)
            last = (self._errors.read().strip() or "no message").splitlines()[-1]
            raise ChildError(f"the worker of the {self.name} ended: {last}")
        answer: dict[str, Any] = json.loads(reply)
        if "unfit" in answer:
            raise UnfitError(self.name, answer["unfit"])
        if "mistake" in answer:
            raise ChildError(f"the {self.name} cannot set up this case ({answer['mistake']})")
        return answer
