"""What comes of each arm of a cell, from "not reached" on."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from .results import ArmFacts, Status

NOT_REACHED = "not reached"


class Facts:
    """One ``ArmFacts`` an arm, by label, in their order."""

    def __init__(self, labels: Iterable[str]) -> None:
        self._facts = {label: ArmFacts(label, "failed", NOT_REACHED) for label in labels}

    def __contains__(self, label: str) -> bool:
        return label in self._facts

    def note(self, label: str, **known: Any) -> None:
        """Set fields of an arm."""
        self._facts[label] = replace(self._facts[label], **known)

    def settle(self, label: str, status: Status, reason: str) -> None:
        """An arm goes no further."""
        self.note(label, status=status, reason=reason)

    def settle_open(self, status: Status, reason: str) -> None:
        """Nor does any arm that nothing was said of yet."""
        for label in self.open():
            self.settle(label, status, reason)

    def open(self) -> list[str]:
        """Labels of those."""
        return [label for label, fact in self._facts.items() if fact.reason == NOT_REACHED]

    def all(self) -> list[ArmFacts]:
        """Of every arm."""
        return list(self._facts.values())
