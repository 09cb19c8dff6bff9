"""The path by which other projects import ``guarding.pairs``."""

from .guarding.pairs import time_ratio

__all__ = ["time_ratio"]
