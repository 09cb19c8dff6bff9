"""Names that can be chosen without loading a model: the files of the folder ``conf``."""

from __future__ import annotations

import difflib
from collections.abc import Iterable
from typing import Any

from .config import ConfigError
from .own_package import CONF


def group(name: str) -> dict[str, str]:
    """Map each name of a YAML file in ``conf/<name>/`` to a description, taken from the comment on its first line.

    The first line holds the command that runs the file and then, after eight spaces, the description. A line without a
    description is given whole.
    """
    found = {}
    for file in sorted((CONF / name).iterdir()):
        if file.name.endswith(".yaml") and file.is_file():
            first = file.read_bytes().decode(errors="replace").split("\n", 1)[0]
            found[file.name.removesuffix(".yaml")] = first.lstrip("# ").partition("        ")[
                2
            ].strip() or first.lstrip("# ")
    return found


def mapping_of(name: str, file: str) -> dict[str, Any]:
    """Read ``conf/<name>/<file>.yaml`` as it is written, with interpolations left as they are.

    Raises ConfigError, with the line, if it is no YAML or no mapping of keys to values.
    """
    import yaml

    path = CONF / name / f"{file}.yaml"
    try:
        found = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        why = " ".join(str(getattr(error, "problem", None) or error).split())
        raise ConfigError(f"conf/{name}/{path.name}{where} cannot be read as YAML: {why}; mend the file") from None
    if found is None or isinstance(found, dict):
        return found or {}
    raise ConfigError(f"conf/{name}/{path.name} holds {type(found).__name__}, not keys with values; mend the file")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'x'? `` with the known name that is closest, or "" where none is close."""
    close = difflib.get_close_matches(name, list(known), n=1)
    return f"did you mean {close[0]!r}? " if close else ""
