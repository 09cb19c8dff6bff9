"""The import path of ``judging.verdict`` for other projects."""

from .judging.verdict import MARGIN, Verdict, holm, verdict

__all__ = ["MARGIN", "Verdict", "holm", "verdict"]
