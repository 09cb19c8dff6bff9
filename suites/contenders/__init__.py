"""Contenders: other libraries, measured in the same rounds as the strategies, each in a process of its own."""

from .contender import Contender, ContenderError, Decoded, UnavailableError, register, registry
from .selection import select_contenders

__all__ = ["Contender", "ContenderError", "Decoded", "UnavailableError", "register", "registry", "select_contenders"]
