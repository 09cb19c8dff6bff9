"""The values given for one key: listed where they are swept, and checked for type, range and whether a path exists."""

from __future__ import annotations

import contextlib
import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from strategies.models.idle_options import why_idle_option

from .catalog import did_you_mean, group, mapping_of
from .config import FILES, NESTED, ConfigError, rules
from .quoting import typed
from .rules import one_of, shown, text

if TYPE_CHECKING:
    from hydra.core.override_parser.types import Override

FOLDERS = ("hydra.run.dir", "hydra.sweep.dir")
TEXTS = {
    "model.name": text("a name"),
    "model.checkpoint": text("a folder", optional=True),
    **dict.fromkeys(FOLDERS, text("a folder")),
}
PATHS = ("model.checkpoint", *FILES, *FOLDERS)
SOURCES = ("pronounce", "checkpoint", "random")
MAX_CASES = 10_000


def values_of(parsed: Override, key: str, raw: str) -> list[Any]:
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


def check_values(key: str, raw: str, values: list[Any], swept: bool) -> None:
    """Raise ConfigError or ModelError for a value that is not allowed under its key."""
    rule = TEXTS.get(key) or rules().get(key)
    if key in ("model", *NESTED):
        check_group(key, values, raw)
    for value in values:
        if isinstance(value, str) and "${" in value:
            continue  # an interpolation: ``check`` looks at its value once Hydra has resolved it
        if rule is not None and not rule.admits(value):
            several = isinstance(value, list) and value and all(map(rule.admits, value))
            remedy = f"; for several cells, write {key}={','.join(map(shown, value))}" if several else ""
            raise ConfigError(rule.refusal(key, shown(value) if swept else raw) + remedy)
        check_model(key, value)


def check_model(key: str, value: Any) -> None:
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


def check_group(name: str, values: list[Any], raw: str) -> None:
    """Raise ConfigError for a value that names no file of conf/<name>/, and for a file that cannot be used.

    Such a file cannot be read, or gives an option of a model that has no effect beside its others.
    """
    known = group(name)
    for value in values:
        if not isinstance(value, str) or value not in known:
            told = shown(value) if isinstance(value, str) else shown(raw)
            folder = "; a folder is given by model=checkpoint model.checkpoint=DIR" if name == "model" else ""
            raise ConfigError(f"unknown {name} {told!r}; {did_you_mean(told, known)}known: {', '.join(known)}{folder}")
        found = mapping_of(name, value)
        if name == "model" and found.get("source", "random") == "random":
            for option in map(str, found):
                if why := why_idle_option(option, found):
                    raise ConfigError(f"conf/model/{value}.yaml: {option} has no effect {why}")


def check_paths(key: str, raw: str, values: list[Any], swept: bool) -> None:
    """Raise ConfigError for several folders where one is meant, and for one of several paths that does not exist."""
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
