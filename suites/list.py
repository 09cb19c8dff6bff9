"""The verb ``list``: everything that can be chosen by name, a line each."""

from __future__ import annotations

import sys

from .catalog import did_you_mean, group
from .config import ConfigError

KINDS = ("strategies", "models", "sweeps", "metrics", "contenders")


def _strategies() -> list[str]:
    from strategies.parsing import options_of
    from strategies.strategy import registry

    lines = []
    for name, entry in registry().items():
        lines.append(f"{name:16} {entry.summary}")
        preset = dict(entry.preset)
        defaults = entry.make()
        for option, text in options_of(entry.strategy).items():
            if option not in preset:
                allowed = text.rpartition(", default")[0]
                lines.append(f"{'':16}   {option}={allowed} (default {getattr(defaults, option)})")
    return lines


def _contenders() -> list[str]:
    from .contenders import registry

    lines = []
    for name, contender in registry().items():
        missing = contender.missing()
        lines.append(f"{name:28} {contender.summary()}" + (f" ({missing})" if missing else ""))
    return lines


def _lines(kind: str) -> list[str]:
    if kind == "strategies":
        return _strategies()
    if kind == "metrics":
        from .metrics import metrics

        return [f"{m.name:26} {m.unit:12} {m.formula}" for m in metrics().values()]
    if kind == "contenders":
        return _contenders()
    return [f"{name:16} {text}" for name, text in group(kind.removesuffix("s")).items()]


def main(arguments: list[str]) -> int:
    """Print the kinds named, or all. Raises ConfigError for a kind or name that is not known."""
    if {"-h", "--help"} & set(arguments):
        print(f"usage: python -m suites list [{'|'.join(KINDS)}] ...\n\nWhat can be chosen by name, a line each.")
        return 0
    for kind in arguments:
        if kind not in KINDS:
            raise ConfigError(f"unknown kind {kind!r}; {did_you_mean(kind, KINDS)}known: {', '.join(KINDS)}")
    for kind in arguments or KINDS:
        sys.stdout.write(f"{kind}\n" + "".join(f"  {line}\n" for line in _lines(kind)) + "\n")
    return 0
