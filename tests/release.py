"""A source tree made ready to be built: ``python -m tests.release FOLDER TAG PROJECT_URL``, as `make dist` calls it."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_VERSION = re.compile(r'^__version__ = "(.+)"$', re.MULTILINE)
_SECTION = re.compile(r"^## \[(\d[^\]]*)\] - (\d{4}-\d\d-\d\d)$", re.MULTILINE)
_LINK = re.compile(r"(!?)(\[[^\]]*\])\((?!https?:|mailto:|#)([^)\s]+)\)")


def version(folder: Path) -> str:
    """The version that ``folder`` has in suites/version.py, its only place."""
    return _VERSION.findall((folder / "suites" / "version.py").read_text("utf-8"))[0]


def released(changelog: str) -> list[str]:
    """The versions that have a section with a date in a changelog, the newest first."""
    return [number for number, _ in _SECTION.findall(changelog)]


def demand_release(folder: Path, tag: str) -> None:
    """Exit with a message unless ``tag`` names the version and the changelog's newest section is that version's."""
    number = version(folder)
    if tag != f"v{number}":
        sys.exit(f"the tag is {tag}, and suites/version.py has {number}: tag v{number}, or change the version")
    if released((folder / "CHANGELOG.md").read_text("utf-8"))[:1] != [number]:
        sys.exit(f"CHANGELOG.md: its first section with a date is not '## [{number}] - YEAR-MONTH-DAY'; add that one")


def absolute_links(text: str, project_url: str, revision: str) -> str:
    """Markdown whose relative links lead to ``revision`` of the repository at ``project_url`` (GitHub's paths).

    >>> absolute_links("![a](b.png), [c](d.md#e), [f](#g)", "https://example.org/p", "v1")
    '![a](https://example.org/p/raw/v1/b.png), [c](https://example.org/p/blob/v1/d.md#e), [f](#g)'
    """

    def absolute(found: re.Match[str]) -> str:
        picture, label, path = found.groups()
        return f"{picture}{label}({project_url}/{'raw' if picture else 'blob'}/{revision}/{path})"

    return _LINK.sub(absolute, text)


def main(folder: Path, tag: str, project_url: str) -> None:
    """Check a tag unless it is empty; rewrite the README for an index unless ``project_url`` is empty."""
    if tag:
        demand_release(folder, tag)
    if project_url:
        readme = folder / "README.md"
        readme.write_text(absolute_links(readme.read_text("utf-8"), project_url, tag or "HEAD"), "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]), *sys.argv[2:])
