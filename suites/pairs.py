"""The import path of ``guarding.pairs`` for other projects."""

from .guarding.pairs import time_ratio

__all__ = ["time_ratio"]
