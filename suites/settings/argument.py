"""One argument KEY=VALUE: its key is checked, its values are read and checked, and text stays text."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any

from .catalog import did_you_mean
from .config import FILES, NESTED, ConfigError, known_keys, rules
from .quoting import quoted, unreadable
from .rules import Rule, shown
from .values import FOLDERS, PATHS, TEXTS, check_model, check_paths, check_values, values_of

HYDRA = r"hydra/launcher|hydra\.launcher\.[\w.]{1,100}|hydra\.job\.chdir|hydra\.verbose"
"""Pattern of Hydra's own keys that are let through (where and how jobs run) or refused later with a reason."""


@dataclass(frozen=True)
class Typed:
    """One argument, checked.

    ``text`` is the value as typed. ``values`` holds one value, or all values of a sweep (``swept``). ``argument`` is
    what Hydra is given: the same, written so that Hydra reads text as text.
    """

    key: str
    text: str
    values: list[Any]
    swept: bool
    argument: str


def read_argument(argument: str) -> Typed:
    """Read and check one argument KEY=VALUE. Raises ConfigError or ModelError for a mistake in key or value."""
    from hydra.core.override_parser.overrides_parser import OverridesParser
    from hydra.errors import HydraException

    head, equals, raw = (part.strip() for part in argument.partition("="))
    key = head.lstrip("+~").partition("@")[0]
    if not equals and not head.startswith("~"):
        raise ConfigError(f"cannot read {shown(argument)!r}; write KEY=VALUE, such as seq_len=64")
    _check_key(key, argument)
    if head.startswith("~"):
        raise ConfigError(f"{shown(argument)} is not allowed; leave {key} out for its default, or write {key}=VALUE")
    if "@" in head and key != "sweep":
        raise ConfigError(f"{shown(argument)} is not allowed; write {key}=VALUE, without @")
    try:
        parsed = OverridesParser.create().parse_override(argument)
        values = values_of(parsed, key, raw)
    except (HydraException, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        if rule := _rule(key, raw):
            raise ConfigError(rule.refusal(key, raw)) from None
        check_model(key, raw)
        raise ConfigError(unreadable(argument, key, raw)) from None
    swept = parsed.is_sweep_override()
    if swept and key.partition(".")[0] == "cluster":
        raise ConfigError(f"{key}={shown(raw)} is not allowed, as all cells of a run go to one cluster; give one value")
    if key in TEXTS or key in FILES:
        argument, values = _as_text(argument, raw, values, swept)
    check_values(key, raw, values, swept)
    if key == "hydra/launcher" and not all(isinstance(one, str) and re.fullmatch(r"[\w-]+", one) for one in values):
        raise ConfigError(f"{key}={shown(raw)} is not allowed; give the name of a launcher, such as basic")
    if key in PATHS:
        check_paths(key, raw, values, swept)
    # A model's YAML file need not list every size, so model.x=1 may add a key. Any other known key exists already, so
    # that a plus before it means nothing.
    plain = argument.lstrip("+")
    if key.startswith("model."):
        argument = f"++{plain}"
    elif key == "cluster":  # it is not among the defaults, so that the plus of +cluster=slurm may stand
        argument = f"+{plain}"
    elif key == "sweep":
        # Hydra reads a package header only from a file's first lines, and the first line of each sweep file is the
        # command that runs it. So the package _global_ is given here.
        argument = f"+sweep@_global_={raw}"
    elif key in known_keys():
        argument = plain
    return Typed(key, raw, values, swept, argument)


def _check_key(key: str, argument: str) -> None:
    known = known_keys()
    if key in known or key in FOLDERS or re.fullmatch(rf"sweep|model\.\w+|{HYDRA}", key):
        return
    if key.startswith("hydra"):
        raise ConfigError(f"{shown(key)} is no key here; of Hydra's keys, give {', '.join(FOLDERS)} or hydra/launcher")
    known = [*known, "model.checkpoint", "sweep"]
    full = next((name for name in known if name.endswith(f".{key}")), "")
    near = f"did you mean {full!r}? " if full else did_you_mean(key, known)
    where = f" in '{shown(argument)}'" if shown(key) == key else ""
    groups = [name for name in known if "." not in name]
    nested = ", ".join(f"{name}.KEY" for name in NESTED)
    raise ConfigError(f"unknown key '{shown(key)}'{where}; {near}known: {', '.join(groups)}, model.SIZE, {nested}")


def _rule(key: str, raw: str) -> Rule | None:
    """The rule of a key whose value cannot be free text; None for other keys, whose value may only lack quotes."""
    rule = rules().get(key)
    return None if rule is None or key in (*FILES, "strategies", "contenders") else rule


def _as_text(argument: str, raw: str, values: list[Any], swept: bool) -> tuple[str, list[Any]]:
    """Keep text that Hydra would read as a number, such as 1e5 or 007, as it was typed; return (argument, values)."""
    parts = raw.split(",") if swept else [raw]
    if all(isinstance(value, str | None) for value in values) or len(parts) != len(values):
        return argument, values
    kept = [
        part.strip() if isinstance(value, bool | int | float) else value
        for part, value in zip(parts, values, strict=True)
    ]
    if not all(isinstance(value, str | None) for value in kept):
        return argument, values
    head = argument.partition("=")[0]
    return f"{head}={','.join('null' if value is None else quoted(value) for value in kept)}", kept
