"""The type of one part of the advice."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Section:
    """A question (``title``) and its answers, one sentence per line."""

    title: str
    sentences: list[str]
