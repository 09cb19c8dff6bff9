"""Declaration of a configuration key: a dataclass field with help text, shown type or unit, and rule for its values."""

from __future__ import annotations

from dataclasses import field
from typing import Any

from .rules import Rule


def key(help: str, default: Any, kind: str, rule: Rule | None = None) -> Any:
    """Declare a key. A list or mapping as default is made anew for each configuration."""
    metadata = {"help": help, "kind": kind, "rule": rule}
    if isinstance(default, (dict, list)):
        return field(default_factory=lambda: default, metadata=metadata)
    return field(default=default, metadata=metadata)
