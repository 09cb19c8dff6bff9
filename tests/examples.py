"""What README and docs show: the commands to copy, and the files of docs/extending.md by their paths."""

import re

from tests.command import ROOT

_TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)```", _TEXT, re.MULTILINE | re.DOTALL))

README = (ROOT / "README.md").read_text()
_COMMAND = re.compile(r"^ {4}(python -m suites .*?)(?:  +#.*)?$", re.MULTILINE)
IN_README = _COMMAND.findall(README)
IN_COMMANDS = _COMMAND.findall((ROOT / "docs" / "commands.md").read_text())
COMMANDS = sorted({*IN_README, *IN_COMMANDS})
COMPILED = "python -m suites run execution=compiled linear=auto device=cpu"
"""The one among them that compiles."""
