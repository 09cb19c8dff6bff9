"""The base of every error that a user can put right."""

from __future__ import annotations

from typing import ClassVar, Literal


class Mistake(ValueError):  # noqa: N818 - the base, which is never raised itself
    """An input, or a file of the user, cannot be used.

    The message is one line: what is wrong, the value, what is allowed, and what to do. Commands print it without a
    traceback.
    """

    status: ClassVar[Literal["failed", "invalid", "skipped"]] = "failed"
    """Status of a case that this error ends: invalid if it shows that nothing can be proven, skipped if the case cannot
    be had on this machine, else failed."""
