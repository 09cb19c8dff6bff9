"""The files that docs/extending.md shows, by their paths."""

import re

from tests.command import ROOT

_TEXT = (ROOT / "docs" / "extending.md").read_text()
FILES: dict[str, str] = dict(re.findall(r"^`([\w/.]+)`:\n\n```\w+\n(.*?)```", _TEXT, re.MULTILINE | re.DOTALL))
