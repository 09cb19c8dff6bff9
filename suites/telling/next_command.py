"""The command that would teach most after a run, made from the run's own command and a row of its table."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator, Sequence
from pathlib import PurePath
from typing import Any

from strategies import Mistake

from ..settings.argument import read_argument
from ..settings.catalog import group, mapping_of
from ..settings.effect import sweep_keys
from ..settings.quoting import command_line
from .advice.rows import Row

PROFILED = ("model", "dtype", "device", "threads", "linear", "weights", "attention")
"""Keys of a run that ``profile`` is given too, as are sizes of the model, ``model.*``."""
REPLACED = {
    "+sweep": ("+sweep", "seq_len", "src_len", "tgt_len"),
    "measure": ("measure", *(f"measure.{k}" for k in ("rounds", "warmup", "precision", "rounds_max", "seconds_max"))),
}
"""Key -> the keys whose place it takes: beside measure=careful, a number of rounds would stand against its own."""
OPEN = (None, "auto")
"""Values that let a run choose, so that the row has another one."""


def with_key(command: str, key: str) -> str:
    """The run's command with a key that is set, in place of what stood for it.

    >>> with_key("python -m suites run seq_len=8 measure.rounds=2 measure.stop=eos", "measure=careful")
    'python -m suites run seq_len=8 measure.stop=eos measure=careful'
    """
    name = key.partition("=")[0]
    replaced = REPLACED.get(name, (name,))
    left_out = *replaced, "hydra.run.dir", "hydra.sweep.dir"
    return command_line([*(word for word in _words(command) if word.partition("=")[0] not in left_out), key])


def readable(command: str) -> str:
    """The same command, quoted as a person would; as it is where it cannot be read."""
    try:
        return command_line(shlex.split(command))
    except ValueError:  # a quotation mark without its partner
        return command


def profiling(command: str, row: Row) -> str:
    """The command that profiles a row's case, with the row's own value of what the run swept.

    "" where the row does not tell that value, where a key cannot be read, or where it was not decoded greedily.
    """
    if row["search"] not in ("greedy", ""):  # "": a table of an earlier version
        return ""
    words = _words(command)[4:]
    try:
        kept = [*_typed(words, row), *_by_sweeps(words, row)]
    except (Mistake, LookupError, OSError):
        return ""
    return command_line(["python", "-m", "suites", "profile", *kept])


def _typed(words: Sequence[str], row: Row) -> Iterator[str]:
    """Keep the words that ``profile`` is given; of several values the row's."""
    for word in words:
        key = _key(word)
        if key in PROFILED or key.startswith("model."):
            typed = read_argument(word)
            yield _own(key, typed.values, row) if typed.swept else word


def _by_sweeps(words: Sequence[str], row: Row) -> Iterator[str]:
    """The row's values of the keys that files of conf/sweep/ set and the command does not."""
    given = set(map(_key, words))
    for word in words:
        if _key(word) == "sweep":
            (names,) = read_argument(word).values
            names = [names] if isinstance(names, str) else names
            for key in dict.fromkeys(key for name in names for key in sweep_keys(name)):
                if (key in PROFILED or key.startswith("model.")) and key not in given:
                    yield _own(key, _values(key, row), row)


def _values(key: str, row: Row) -> list[Any]:
    """The values that a key may have had in a row, where only a file of conf/sweep/ says which."""
    if key == "model":
        return list(group("model"))
    return re.findall(rf"\b{key[6:]}=([^(),\s]+)", str(row["model"])) if key.startswith("model.") else [row[key]]


def _key(word: str) -> str:
    return word.partition("=")[0].lstrip("+").partition("@")[0]


def _own(key: str, values: Sequence[Any], row: Row) -> str:
    """KEY=VALUE with the one of ``values`` that the row has. Raises LookupError where it has none of them."""
    fitting = [value for value in values if _has(row, key, value)] or [value for value in values if value in OPEN]
    return f"{key}={'null' if fitting[0] is None else fitting[0]}"


def _has(row: Row, key: str, value: Any) -> bool:
    """Whether a row was measured with this value. The name of its model tells the model's file, folder and sizes."""
    name = str(row["model"])
    if key == "model":
        return bool(mapping_of("model", value).get("name") == name.partition("(")[0].strip())
    if key == "model.checkpoint":
        tails = [PurePath(tail).parts for tail in (name, *re.findall(r"\((.*)\)", name))]
        return any(PurePath(value).parts[-len(tail) :] == tail for tail in tails)
    if key.startswith("model."):
        return f"{key.partition('.')[2]}={value}" in re.split(r"[(),\s]+", name)
    return str(value) == str(row[key])


def _words(command: str) -> list[str]:
    """The words of a run's command; those of ``run`` without keys where it is not known, or cannot be read."""
    try:
        words = shlex.split(command)
    except ValueError:  # a quotation mark without its partner
        words = []
    return words or ["python", "-m", "suites", "run"]
