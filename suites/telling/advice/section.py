"""A part of the advice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A question and its answers, one a line."""

    title: str
    sentences: list[str]
