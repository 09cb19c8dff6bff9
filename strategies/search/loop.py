"""The loop of every search: a generator over a session, in which each ``next()`` is one decode step."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import Tensor

from .options import Stop
from .searching import Searching

if TYPE_CHECKING:
    from ..session import Session


def decode(session: Session, searching: Searching, stop: Stop = "eos") -> Iterator[Tensor]:
    """Decode a prefilled session; yields the tokens fed next, int64 [X], X = B * W.

    With ``eos`` it ends when every sentence has, or after ``max_new`` tokens. This waits for the device once per step.
    With ``fixed`` it takes exactly ``max_new`` steps, without waiting. Beams are reordered at the beginning of the step
    after the one that chose them, so never after the last.
    """
    token_X = session.first_X
    for k in range(1, session.max_new + 1):
        chosen = searching.choose(session.step(token_X))
        token_X = chosen.token_X
        if k == session.max_new or (stop == "eos" and searching.has_ended()):
            searching.finish()
            yield token_X
            return
        yield token_X
        if chosen.parent_BW is not None:
            session.select(chosen.parent_BW)
