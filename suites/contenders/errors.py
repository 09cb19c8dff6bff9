"""Errors that end a contender."""

from __future__ import annotations

from strategies import Mistake


class ContenderError(Mistake):
    """An error that ends a contender; the message is one line. ``traceback``: all output of its process, or ""."""

    def __init__(self, message: str, traceback: str = "") -> None:
        super().__init__(message)
        self.traceback = traceback


class NoAnswerError(ContenderError):
    """A contender's process did not answer a request in time."""


class UnavailableError(ContenderError):
    """A contender's own library lacks what the cell needs on this machine, so the contender is skipped.

    ``prepare`` raises it for what only the library itself can tell. Reasons that are known without the library belong
    in ``supports``.
    """

    status = "skipped"
