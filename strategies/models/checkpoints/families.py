"""The families of checkpoints that are read, found by the ``model_type`` of a ``config.json``."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..config import ModelError
from ..message_text import shown
from . import bart, m2m_100, marian, mbart, pegasus, t5, whisper
from .family import Family

MODULES = (t5, marian, bart, mbart, m2m_100, pegasus, whisper)
FAMILIES: dict[str, Family] = {kind: one.FAMILY for one in MODULES for kind in one.FAMILY.types}
"""model_type -> its family."""


def family_of(raw: Mapping[str, Any]) -> Family:
    """The family of a ``config.json``. Raises ModelError for a type that is not known."""
    kind = raw.get("model_type")
    if not isinstance(kind, str) or kind not in FAMILIES:
        raise ModelError(f"model_type {shown(kind)} is not known; known: {', '.join(FAMILIES)}")
    return FAMILIES[kind]


def family_of_architecture(architecture: str) -> Family | None:
    """The family that models of an architecture are saved as, or None if there is none."""
    return FAMILIES.get(architecture)
