"""The command in a process in which something happens at a named point.

    python -m tests.killed DEED POINT COUNT run ...

COUNT says at the how manieth passage. DEED is "kill", which kills the process, or a folder, which is then removed.
"""

import importlib
import os
import shutil
import signal
import sys

from suites.__main__ import main as command

POINTS = {
    "planning": ("suites.store.files", None, "write_bytes"),
    "set-up": ("suites.measuring.prepared", "Prepared", "of"),
    "rounds": ("suites.store.cell_folder", "CellWriter", "round"),
    "results": ("suites.store.cell_folder", "CellWriter", "arms"),
    "writing": ("pathlib", "Path", "replace"),
    "exchanging": ("pathlib", "Path", "rename"),
    "collecting": ("suites.tables.table_files", None, "write_frame"),
    "summary": ("suites.verbs.collected", None, "print_summary"),
}
"""Point -> module, class in it or None, and the function before whose call it happens."""


def arm(deed: str, point: str, count: int) -> None:
    """Have it happen before the call number ``count`` of the point's function."""
    module, owner, name = POINTS[point]
    holder = importlib.import_module(module)
    holder = getattr(holder, owner) if owner else holder
    given, left = getattr(holder, name), [count]

    def killing(*arguments, **keys):
        left[0] -= 1
        if not left[0] and deed != "kill":
            shutil.rmtree(deed)
        elif not left[0]:
            os.kill(os.getpid(), signal.SIGKILL)
        return given(*arguments, **keys)

    setattr(holder, name, staticmethod(killing) if name == "of" else killing)


def main() -> int:
    """Read the arguments, arm the point, and run the command."""
    deed, point, count, *arguments = sys.argv[1:]
    arm(deed, point, int(count))
    return command(arguments)


if __name__ == "__main__":
    sys.exit(main())
