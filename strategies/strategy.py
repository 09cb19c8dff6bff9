"""What a decoding strategy declares, and the registry that finds strategies by name.

A strategy is a frozen dataclass whose fields are its options. It chooses a self-attention store, says whether cross
K/V are cached, and states closed facts about each step; the model turns those into FLOPs and bytes.
"""

from __future__ import annotations

import dataclasses
import difflib
import importlib
import pkgutil
import re
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points
from typing import Any, Literal, Self, TypeVar

from .models.stores import KVShape, SelfKV

Execution = Literal["eager", "compiled", "graph"]
CrossMode = Literal["cached", "recompute"]
CORE = ("full_recompute", "cross_kv", "contiguous_kv", "static_kv")


class StrategyError(ValueError):
    """A strategy that cannot be had; the message is one line: what, value, allowed, remedy."""


@dataclass(frozen=True)
class Strategy:
    """Base of every strategy. Override ``self_kv`` and whichever facts differ from a growing cache's.

    k counts the keys that the decoder's self-attention attends at a step, the new one included: 1, 2, ... N. Facts are
    asked of a strategy bound to a target length (``bind``). Rows are rows of one layer's K or V.
    """

    cross: CrossMode = "cached"

    def bind(self, max_new: int) -> Self:
        """This strategy for targets of at most ``max_new`` tokens: defaults filled in; StrategyError if too long."""
        return self

    def self_kv(self, shape: KVShape) -> SelfKV:
        """A new self-attention store for one layer."""
        raise NotImplementedError

    def rows_fed(self, k: int) -> int:
        """Decoder rows computed at the step that attends k keys."""
        return 1

    def keys_read(self, k: int) -> int:
        """Keys that a query row's product with K spans."""
        return k

    def rows_copied(self, k: int) -> int:
        """Cache rows that are moved to make room for the new one."""
        return 0

    def rows_reserved(self, k: int) -> int:
        """Rows of memory that persist once this step is done."""
        return k

    def rows_used(self, k: int) -> int:
        """Those of them that hold keys."""
        return min(k, self.rows_reserved(k))

    @property
    def supports(self) -> frozenset[Execution]:
        """Ways to execute a step that give the same answer."""
        return frozenset({"eager"})

    @property
    def label(self) -> str:
        """The shortest text that ``parse`` turns into an equal strategy: options at their default are left out."""
        candidates = []
        for name, entry in registry().items():
            if entry.strategy is type(self):
                default = entry.make()
                given = [
                    f"{f.name}={getattr(self, f.name)}"
                    for f in dataclasses.fields(self)
                    if getattr(self, f.name) != getattr(default, f.name)
                ]
                candidates.append((len(given), name, given))
        if not candidates:
            return repr(self)
        _, name, given = min(candidates)
        return f"{name}({','.join(given)})" if given else name


@dataclass(frozen=True)
class Entry:
    """A registered name: a strategy class with some of its options set."""

    strategy: type[Strategy]
    preset: tuple[tuple[str, Any], ...]
    summary: str

    def make(self, **options: Any) -> Strategy:
        """The strategy with these options over the preset."""
        return self.strategy(**{**dict(self.preset), **options})


_ENTRIES: dict[str, Entry] = {}
AnyStrategy = TypeVar("AnyStrategy", bound=type[Strategy])


def register(name: str, summary: str | None = None, **preset: Any) -> Callable[[AnyStrategy], AnyStrategy]:
    """Class decorator: make a strategy known by ``name``; ``preset`` sets options that the name implies.

    ``summary`` is the line that ``list`` prints, by default the first line of the class docstring.
    """

    def add(strategy: AnyStrategy) -> AnyStrategy:
        taken = _ENTRIES.get(name)
        if taken is not None and taken.strategy.__qualname__ != strategy.__qualname__:
            raise StrategyError(f"the name {name!r} is taken by {taken.strategy.__module__}; register another")
        line = summary or (strategy.__doc__ or "").strip().split("\n")[0]
        _ENTRIES[name] = Entry(strategy, tuple(sorted(preset.items())), line)
        return strategy

    return add


@cache
def _discover() -> None:
    """Import every module of this package and every entry point, so that each registers itself."""
    package = importlib.import_module(__package__)
    for module in pkgutil.iter_modules(package.__path__):
        if not module.ispkg:
            importlib.import_module(f"{__package__}.{module.name}")
    for point in entry_points(group="decodebench.strategies"):
        point.load()


def registry() -> dict[str, Entry]:
    """Every known name, in order: the core four as the field introduces them, then the rest by name."""
    _discover()
    rest = sorted(set(_ENTRIES) - set(CORE))
    return {name: _ENTRIES[name] for name in (*CORE, *rest)}


def options_of(strategy: type[Strategy]) -> dict[str, str]:
    """Option name -> allowed values and default, as text for people."""
    hints = typing.get_type_hints(strategy)
    return {f.name: f"{_allowed(hints[f.name])}, default {f.default}" for f in dataclasses.fields(strategy)}


def _allowed(hint: Any) -> str:
    if typing.get_origin(hint) is Literal:
        return "|".join(map(str, typing.get_args(hint)))
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        return " or ".join(_allowed(part) for part in typing.get_args(hint) if part is not type(None))
    return {int: "a whole number", float: "a number", bool: "true|false"}.get(
        hint, getattr(hint, "__name__", str(hint))
    )


def _convert(text: str, hint: Any) -> Any:
    """``text`` as a value of the annotated type; ValueError if it is none."""
    if typing.get_origin(hint) is Literal:
        for value in typing.get_args(hint):
            if str(value) == text:
                return value
        raise ValueError(text)
    if typing.get_origin(hint) in (types.UnionType, typing.Union):
        parts = typing.get_args(hint)
        if type(None) in parts and text.lower() in ("none", "null"):
            return None
        return _convert(text, next(part for part in parts if part is not type(None)))
    if hint is bool:
        return {"true": True, "false": False}[text.lower()]
    return hint(text)


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """The words "did you mean 'x'? " where a known name is close, else nothing."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}? " if close else ""


def parse(text: str) -> Strategy:
    """``static_kv(capacity=512,read=buffer)`` -> the strategy. Raises StrategyError.

    >>> parse("full_recompute(cross=cached)") == parse("cross_kv")
    True
    >>> parse("static_kv(read=filled)").label
    'static_kv'
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", text)
    if not match:
        raise StrategyError(f"cannot read strategy {text!r}; write a name, or name(option=value,...)")
    name, arguments = match.groups()
    known = registry()
    if name not in known:
        raise StrategyError(f"unknown strategy {name!r}; {nearest(name, known)}known: {', '.join(known)}")
    entry = known[name]
    hints = typing.get_type_hints(entry.strategy)
    allowed = options_of(entry.strategy)
    options: dict[str, Any] = {}
    for part in filter(None, map(str.strip, (arguments or "").split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise StrategyError(f"cannot read {part!r} in {text!r}; write option=value")
        if key not in allowed:
            have = ", ".join(allowed)
            raise StrategyError(f"unknown option {key!r} of {name}; {nearest(key, allowed)}known: {have}")
        if key in options:
            raise StrategyError(f"option {key!r} is given twice in {text!r}; give it once")
        try:
            options[key] = _convert(value, hints[key])
        except (ValueError, KeyError):
            raise StrategyError(f"{name}: {key}={value} is not allowed; {key} takes {allowed[key]}") from None
    return entry.make(**options)


def select(chosen: str | typing.Sequence[Any]) -> list[Strategy]:
    """Strategies of ``core``, ``grid``, ``all``, one text, or a list of texts or one-entry dicts, each once.

    ``grid`` is the three self-attention stores x both cross modes. Raises StrategyError for none or an unknown one.
    """
    if isinstance(chosen, str):
        groups = {
            "core": list(CORE),
            "all": list(registry()),
            "grid": [
                f"{n}(cross={c})"
                for n in ("full_recompute", "contiguous_kv", "static_kv")
                for c in ("recompute", "cached")
            ],
        }
        chosen = groups.get(chosen, [chosen])
    texts = []
    for item in chosen:
        if isinstance(item, str):
            texts.append(item)
            continue
        if not isinstance(item, Mapping) or not all(isinstance(options, Mapping | None) for options in item.values()):
            raise StrategyError(
                f"cannot read strategy {item!r}; write name, name(option=value,...) or {{name: {{option: value}}}}"
            )
        for name, options in item.items():
            pairs = ",".join(f"{k}={v}" for k, v in (options or {}).items())
            texts.append(f"{name}({pairs})")
    if not texts:
        raise StrategyError("strategies=[] names none; give core, grid, all or a list of names")
    return list(dict.fromkeys(map(parse, texts)))
