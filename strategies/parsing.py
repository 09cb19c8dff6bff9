"""Turn text into strategies: ``static_kv(capacity=512,read=buffer)``, a group such as ``core``, or a list."""

from __future__ import annotations

import dataclasses
import difflib
import re
import types
import typing
from collections.abc import Iterable, Mapping, Sequence
from functools import cache
from typing import Any, Literal

from .models.message_text import described, plain, shown
from .strategy import CORE, Execution, Strategy, StrategyError, registry

MOST = 2**31 - 1
"""The largest absolute value of an option that is a whole number; larger ones overflow 32-bit indices."""


@cache
def _hints(strategy: type) -> Mapping[str, Any]:
    """The annotated types of a strategy's options. Resolving them takes longer than the rest of ``parse``."""
    return typing.get_type_hints(strategy)


def options_of(strategy: type[Strategy]) -> dict[str, str]:
    """Option name -> its allowed values and its default, as text for people to read."""
    hints = _hints(strategy)  # type: ignore[arg-type]  # a class is hashable; mypy takes its instances' hash
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
    """Convert ``text`` to the annotated type of an option.

    Raises ValueError or KeyError if it is no value of that type, OverflowError if it is a whole number beyond ``MOST``.
    """
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
    value = hint(text)
    if hint is int and abs(value) > MOST:
        raise OverflowError(text)
    return value


def nearest(name: str, known: typing.Iterable[str]) -> str:
    """The text "did you mean 'x'? " if a known name is close to ``name``, else ""."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"did you mean {close[0]!r}? " if close else ""


def parse(text: str) -> Strategy:
    """Turn text such as ``static_kv(capacity=512,read=buffer)`` into the strategy.

    Raises StrategyError for text that cannot be read, and for an unknown name, option or value.

    >>> parse("full_recompute(cross=cached)") == parse("cross_kv")
    True
    >>> parse("static_kv(read=filled)").label
    'static_kv'
    """
    match = re.fullmatch(r"\s*(\w+)\s*(?:\((.*)\))?\s*", text)
    if not match:
        raise StrategyError(f"cannot read strategy {shown(text)}; write a name, or name(option=value,...)")
    name, arguments = match.groups()
    known = registry()
    if name not in known:
        raise StrategyError(f"unknown strategy {shown(name)}; {nearest(name, known)}known: {', '.join(known)}")
    entry = known[name]
    hints = _hints(entry.strategy)  # type: ignore[arg-type]  # a class can be hashed, which mypy does not see
    allowed = options_of(entry.strategy) if arguments else {}
    options: dict[str, Any] = {}
    for part in filter(None, map(str.strip, (arguments or "").split(","))):
        key, equals, value = (piece.strip() for piece in part.partition("="))
        if not equals:
            raise StrategyError(f"cannot read {shown(part)} in {shown(text)}; write option=value")
        if key not in allowed:
            have = ", ".join(allowed)
            raise StrategyError(f"unknown option {shown(key)} of {name}; {nearest(key, allowed)}known: {have}")
        if key in options:
            raise StrategyError(f"option {key!r} is given twice in {shown(text)}; give it once")
        try:
            options[key] = _convert(value, hints[key])
        except OverflowError:
            raise StrategyError(f"{name}: {key}={plain(value)} is not allowed; give at most {MOST}") from None
        except (ValueError, KeyError):
            raise StrategyError(f"{name}: {key}={plain(value)} is not allowed; {key} takes {allowed[key]}") from None
    return entry.make(**options)


def select(chosen: Any) -> list[Strategy]:
    """Turn a group, a text, or a list of texts or ``{name: {option: value}}`` into strategies, each of them once.

    The groups are ``core``, the four basic strategies; ``all``, every registered one; and ``grid``, the three
    self-attention stores, each with cross K/V recomputed and cached. Raises StrategyError if ``chosen`` is empty or
    names an unknown strategy.
    """
    if isinstance(chosen, Mapping):
        chosen = [chosen]
    if not isinstance(chosen, str | Sequence):
        raise StrategyError(f"strategies={chosen} is not allowed; give core, grid, all or a list of names")
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
                f"cannot read strategy {shown(item)}; write name, name(option=value,...) or {{name: {{option: value}}}}"
            )
        for name, options in item.items():
            pairs = ",".join(f"{k}={v}" for k, v in (options or {}).items())
            texts.append(f"{name}({pairs})")
    if not texts:
        raise StrategyError("strategies=[] names none; give core, grid, all or a list of names")
    return _distinct(map(parse, texts))


def with_execution(strategies: Sequence[Strategy], execution: Execution) -> list[Strategy]:
    """The strategies, followed by the compiled or captured form of those that support ``execution``, each of them once.

    >>> [strategy.label for strategy in with_execution(select("core"), "compiled")][4:]
    ['contiguous_kv(execution=compiled)', 'static_kv(execution=compiled,read=bucket)']
    """
    if execution == "eager":
        return list(strategies)
    tried = filter(None, (executed(strategy, execution) for strategy in strategies))
    return _distinct([*strategies, *tried])


def _distinct(strategies: Iterable[Strategy]) -> list[Strategy]:
    """The strategies without duplicates.

    Raises StrategyError if two different strategies have the same label, because labels tell the rows of tables apart.
    """
    found: dict[str, Strategy] = {}
    for strategy in strategies:
        first = found.setdefault(strategy.label, strategy)
        if first != strategy:
            kinds = " and ".join(f"{type(one).__name__} of {type(one).__module__}" for one in (first, strategy))
            raise StrategyError(f"{kinds} both have the label {shown(strategy.label)}; give one of them another")
    return list(found.values())


def executed(strategy: Strategy, execution: Execution) -> Strategy | None:
    """Return ``strategy.executed(execution)``; any error of the strategy's own code becomes a StrategyError."""
    try:
        return strategy.executed(execution)
    except (StrategyError, KeyboardInterrupt):
        raise
    except BaseException as error:
        raise StrategyError(f"{strategy.label}: executed({execution!r}): {described(error)}") from error
