"""The base of every error that a user can mend."""

from __future__ import annotations

from typing import ClassVar, Literal


class Mistake(ValueError):  # noqa: N818 - the base, which is never raised itself
    """What a user gave, or a file of theirs, cannot be used. The message is one line that says all: what is wrong, the
    value, what is allowed, and what to do. Commands print it without a traceback.
    """

    status: ClassVar[Literal["failed", "invalid"]] = "failed"
    """Of a case that it ends; invalid where it shows that nothing can be proven."""
