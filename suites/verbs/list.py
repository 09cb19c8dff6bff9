"""The verb ``list``: everything that can be chosen by name, one line each."""

from __future__ import annotations

import json
import sys
from typing import Any

from ..settings.catalog import did_you_mean, group
from ..settings.config import ConfigError
from ..settings.rules import shown

KINDS = ("strategies", "models", "searches", "sweeps", "metrics", "contenders")
GROUPS = {"models": "model", "searches": "search", "sweeps": "sweep"}
HELP = f"""\
usage: python -m suites list [--json] [KIND ...]

What can be chosen by name, a line each; with --json as data. The kinds:
{", ".join(KINDS)}.
"""


def entries(kind: str) -> dict[str, dict[str, Any]]:
    """Name -> description, for one of ``KINDS``."""
    if kind == "strategies":
        return _strategies()
    if kind == "metrics":
        from ..metrics import metrics

        return {m.name: {"unit": m.unit, "better": m.better, "formula": m.formula} for m in metrics().values()}
    if kind == "contenders":
        from ..contenders import registry

        return {name: {"summary": c.summary(), "missing": c.missing()} for name, c in registry().items()}
    return {name: {"summary": text} for name, text in group(GROUPS[kind]).items()}


def _strategies() -> dict[str, dict[str, Any]]:
    from strategies.parsing import options_of
    from strategies.strategy import registry

    found = {}
    for name, entry in registry().items():
        defaults, preset = entry.make(), dict(entry.preset)
        options = {
            option: {"allowed": text.rpartition(", default")[0], "default": getattr(defaults, option)}
            for option, text in options_of(entry.strategy).items()
            if option not in preset
        }
        found[name] = {"summary": entry.summary, "exact": entry.strategy.exact, "options": options}
    return found


def _lines(kind: str) -> list[str]:
    lines = []
    for name, told in entries(kind).items():
        if kind == "metrics":
            lines.append(f"{name:26} {told['unit']:12} {told['formula']}")
            continue
        missing = f" ({told['missing']})" if told.get("missing") else ""
        missing += " (approximate)" * (told.get("exact") is False)
        lines.append(f"{name:{28 if kind == 'contenders' else 16}} {told['summary']}{missing}")
        for option, values in told.get("options", {}).items():
            lines.append(f"{'':16}   {option}={values['allowed']} (default {values['default']})")
    return lines


def main(arguments: list[str]) -> int:
    """Print the kinds named, or all of them. Raises ConfigError for an unknown kind."""
    if {"-h", "--help"} & set(arguments):
        print(HELP, end="")
        return 0
    kinds = [argument for argument in arguments if argument != "--json"]
    for kind in kinds:
        if kind not in KINDS:
            raise ConfigError(f"unknown kind '{shown(kind)}'; {did_you_mean(kind, KINDS)}known: {', '.join(KINDS)}")
    if "--json" in arguments:
        print(json.dumps({kind: entries(kind) for kind in kinds or KINDS}, indent=1))
        return 0
    for kind in kinds or KINDS:
        sys.stdout.write(f"{kind}\n" + "".join(f"  {line}\n" for line in _lines(kind)) + "\n")
    return 0
