"""The path by which other projects import ``judging.verdict``."""

from .judging.verdict import MARGIN, Verdict, holm, verdict

__all__ = ["MARGIN", "Verdict", "holm", "verdict"]
