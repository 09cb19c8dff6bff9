"""The two tools as a page of their own, which the documentation shows."""

from __future__ import annotations

from pathlib import Path

from ..store.files import write_text
from .html import page_of_tools
from .tools import models_of_conf

MODELS = (
    "pronounce", "small", "base", "large", "xl", "transformer2017", "flan_t5_base", "bart_base", "marian", "nllb_600m",
    "whisper_small",
)  # fmt: skip


def write_tools(path: Path) -> Path:
    """Write the page, whole by itself, for the models that a run can choose by name."""
    write_text(path, page_of_tools(models_of_conf(MODELS)))
    return path
