"""One argument KEY=VALUE: its key is checked, its values are checked for type and range, and text stays text."""

from __future__ import annotations

import contextlib
import math
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .catalog import did_you_mean, group
from .config import ConfigError, known_keys, rules
from .quoting import quoted, typed, unreadable
from .rules import Rule, one_of, shown, text

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
HYDRA = r"hydra/launcher|hydra\.launcher\.[\w.]{1,100}|hydra\.job\.chdir|hydra\.verbose"
"""Pattern of Hydra's own keys that are let through (where and how jobs run) or refused later with a reason."""
TEXTS = {
    "model.name": text("a name"),
    "model.checkpoint": text("a folder", optional=True),
    **dict.fromkeys(FOLDERS, text("a folder")),
}
PATHS = ("model.checkpoint", "src_ids", *FOLDERS)
SOURCES = ("pronounce", "checkpoint", "random")
MAX_CASES = 10_000


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
        values = _values(parsed, key, raw)
    except (HydraException, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        if rule := _rule(key, raw):
            raise ConfigError(rule.refusal(key, raw)) from None
        _check_model(key, raw)
        raise ConfigError(unreadable(argument, key, raw)) from None
    swept = parsed.is_sweep_override()
    if key in TEXTS or key == "src_ids":
        argument, values = _as_text(argument, raw, values, swept)
    _check_values(key, raw, values, swept)
    if key == "hydra/launcher" and not all(isinstance(one, str) and re.fullmatch(r"[\w-]+", one) for one in values):
        raise ConfigError(f"{key}={shown(raw)} is not allowed; give the name of a launcher, such as basic")
    if key in PATHS:
        _check_paths(key, raw, values, swept)
    # A model's YAML file need not list every size, so model.x=1 may add a key. Any other known key exists already, so
    # that a plus before it means nothing.
    plain = argument.lstrip("+")
    if key.startswith("model."):
        argument = f"++{plain}"
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
    raise ConfigError(f"unknown key '{shown(key)}'{where}; {near}known: {', '.join(known)}")


def _rule(key: str, raw: str) -> Rule | None:
    """The rule of a key whose value cannot be free text; None for other keys, whose value may only lack quotes."""
    rule = rules().get(key)
    return None if rule is None or key in ("src_ids", "strategies", "contenders") else rule


def _check_model(key: str, value: Any) -> None:
    """Raise ModelError for a value of ``model.SIZE`` that no model could have, ConfigError for an unknown source."""
    if not key.startswith("model.") or key in TEXTS:
        return
    name = key.removeprefix("model.")
    if name == "source":
        if value not in SOURCES:
            raise ConfigError(one_of(SOURCES).refusal(key, shown(value)))
        return
    from strategies.models.config import check_field

    check_field(name, value)


def _values(parsed: Override, key: str, raw: str) -> list[Any]:
    """All values of an override, in Hydra's order. Raises ConfigError for a sweep that cannot be run."""
    from hydra.core.override_parser.types import Glob, IntervalSweep, RangeSweep, Sweep, Transformer

    value = parsed.value()
    if isinstance(value, Glob | IntervalSweep):
        rule = rules().get(key)
        refused = rule.refusal(key, raw) if rule else f"{key}={shown(raw)} is not allowed"
        raise ConfigError(f"{refused}; write several values apart by commas")
    if isinstance(value, RangeSweep):
        start, stop, step = (float(end) for end in (value.start or 0, value.stop or 0, value.step))
        count = (stop - start) / step if step else math.inf
        if not 0 < count <= MAX_CASES:
            raise ConfigError(
                f"{key}={shown(raw)} is not allowed; give a range(START,STOP,STEP) of 1 to {MAX_CASES} values"
            )
    if not parsed.is_sweep_override():
        return [value]
    values = [_plain(element) for element in parsed.sweep_iterator(transformer=Transformer.identity)]
    if any(isinstance(element, Sweep) for element in values):
        raise ConfigError(f"{key}={shown(raw)} is not allowed; write its values one by one, apart by commas")
    return values


def _plain(element: Any) -> Any:
    """Remove the quotes that Hydra keeps around the values of a sweep."""
    from hydra.core.override_parser.types import QuotedString

    if isinstance(element, list):
        return [_plain(part) for part in element]
    return element.text if isinstance(element, QuotedString) else element


def _check_values(key: str, raw: str, values: list[Any], swept: bool) -> None:
    rule = TEXTS.get(key) or rules().get(key)
    if key in ("model", "measure"):
        check_group(key, values, raw)
    for value in values:
        if isinstance(value, str) and "${" in value:
            continue  # an interpolation: ``check`` looks at its value once Hydra has resolved it
        if rule is not None and not rule.admits(value):
            several = isinstance(value, list) and value and all(map(rule.admits, value))
            remedy = f"; for several cells, write {key}={','.join(map(shown, value))}" if several else ""
            raise ConfigError(rule.refusal(key, shown(value) if swept else raw) + remedy)
        _check_model(key, value)


def check_group(name: str, values: list[Any], raw: str) -> None:
    """Raise ConfigError for a value that names no file of conf/<name>/."""
    known = group(name)
    for value in values:
        if not isinstance(value, str) or value not in known:
            told = shown(value) if isinstance(value, str) else shown(raw)
            folder = "; a folder is given by model=t5 model.checkpoint=DIR" if name == "model" else ""
            raise ConfigError(f"unknown {name} {told!r}; {did_you_mean(told, known)}known: {', '.join(known)}{folder}")


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


def _check_paths(key: str, raw: str, values: list[Any], swept: bool) -> None:
    for value in values:
        with contextlib.suppress(TypeError):
            try:
                Path(value).expanduser()
            except RuntimeError:
                user = value.partition("/")[0]
                raise ConfigError(f"{key}={shown(raw)}: there is no user {user} here; write the whole path") from None
    if not swept:
        return
    if key in FOLDERS:
        raise ConfigError(f"{key}={shown(raw)} names {len(values)} folders; give one; with a comma: {typed(key, raw)}")
    for value in values:
        if value is not None and not _exists(value):
            raise ConfigError(
                f"{key}={shown(raw)} is read as {len(values)} paths, and {shown(value)!r} does not exist; "
                f"a path that holds a comma is quoted: {typed(key, raw)}"
            )


def _exists(path: str) -> bool:
    try:
        return Path(path).expanduser().exists()
    except OSError:
        return True  # it may exist; reading it later gives the clearer message
