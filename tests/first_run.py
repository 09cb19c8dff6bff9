"""What docs/first-run.md shows, made anew: `make first-run`, on a quiet machine.

The commands of the page run in a terminal of 80 columns. Their output takes the place of that on the page, and the
plots and the top of the report are written to docs/images/first-run.
"""

from __future__ import annotations

import fcntl
import os
import pty
import re
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
from pathlib import Path

from tests.command import ROOT

PAGE = ROOT / "docs" / "first-run.md"
PICTURES = ROOT / "docs" / "images" / "first-run"
PLOTS = ("totals", "step_latency")
COLUMNS = 80
BLOCK = re.compile(r"(^```\n\$ (?P<command>python -m suites .*)\n)(?P<output>(?:.*\n)*?)(^```$)", re.MULTILINE)
_STYLE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


def in_a_terminal(command: list[str], folder: Path) -> str:
    """Standard output of ``command`` in a terminal of 80 columns, without styles; its progress is shown on ours.

    Raises CalledProcessError if the command fails.
    """
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, COLUMNS, 0, 0))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "NO_COLOR": "1", "TERM": "xterm"}
    environment.pop("COLUMNS", None)
    with subprocess.Popen(command, cwd=folder, env=environment, stdout=theirs) as process:
        os.close(theirs)
        written = b""
        while part := _read(ours):
            written += part
    os.close(ours)
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    lines = _STYLE.sub("", written.decode()).splitlines()
    return "\n".join(line.rstrip() for line in lines).strip("\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65536)
    except OSError:  # the other side is closed
        return b""


def shown(page: str, outputs: dict[str, str]) -> str:
    """The page with the output of each command in ``outputs`` in place of what it has.

    >>> shown("```\\n$ python -m suites list\\nold\\n```\\n", {"python -m suites list": "new"})
    '```\\n$ python -m suites list\\nnew\\n```\\n'
    """

    def anew(block: re.Match[str]) -> str:
        output = outputs.get(block["command"], block["output"].rstrip("\n"))
        return f"{block[1]}{output}\n{block[4]}"

    return BLOCK.sub(anew, page)


def screenshot(report: Path, picture: Path) -> None:
    """Draw the top of a report with Chromium, of $CHROMIUM or the PATH. Raises SystemExit if there is none."""
    names = os.environ.get("CHROMIUM", ""), "chromium", "chromium-browser", "google-chrome"
    path = next(filter(None, map(shutil.which, names)), None)
    if path is None:
        sys.exit("no Chromium found; install one (Debian: apt install chromium), or set CHROMIUM to its path")
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--virtual-time-budget=10000"]
    size = [f"--screenshot={picture}", "--window-size=1000,900"]
    subprocess.run([path, *options, *size, report.resolve().as_uri()], check=True, capture_output=True)


def main(options: list[str]) -> None:
    """Run the commands of the page, ``run`` with ``options`` besides, and rewrite the page and its pictures."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    outputs = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        page = PAGE.read_text("utf-8")
        for block in BLOCK.finditer(page):
            words = [word.strip('"') for word in re.findall(r'"[^"]*"|\S+', block["command"])[1:]]
            added = options if words[2] == "run" else []
            outputs[block["command"]] = in_a_terminal([sys.executable, *words, *added], folder)
        latest = folder / "results" / "latest"
        for plot in PLOTS:
            shutil.copy(latest / "plots" / f"{plot}.png", PICTURES)
        screenshot(latest / "report.html", PICTURES / "report.png")
    PAGE.write_text(shown(page, outputs), "utf-8")


if __name__ == "__main__":
    main(sys.argv[1:])
