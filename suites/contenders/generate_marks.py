"""Marks of one call of ``generate()`` of transformers: of the encoder's end, of each step, and of the return."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    from ..timing.clock import Clock


class Marks:
    """Takes the marks of one call of ``generate()`` with a clock: as a hook on the encoder, and after each step.

    For greedy search on the CPU it is a streamer, which receives the prompt, then the tokens of each step once they are
    chosen. For a streamer ``generate()`` copies the tokens to the host at each step, which would wait for a GPU, and
    with beams it refuses one. So with the clock of a GPU, and with beams, ``chosen`` is called, by a logits processor,
    once the scores of a step have been asked for.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock, self.steps, self._prompted = clock, 0, False

    def start(self) -> None:
        """Take the first mark. CUDA's clock waits for the device before it."""
        self._clock.start()

    def encoded(self) -> None:
        """Take the mark at the encoder's end."""
        self._clock.mark()

    def chosen(self) -> None:
        """Take the mark of a step: of the first always, of a later one if the clock marks every step."""
        if self.steps:
            self._clock.step()
        else:
            self._clock.mark()
        self.steps += 1

    def put(self, token_B: Tensor) -> None:
        """Take the mark of a step, as a streamer. The first call brings the prompt, before any step, and is ignored."""
        if self._prompted:
            self.chosen()
        self._prompted = True

    def end(self) -> None:
        """Do nothing. ``generate()`` calls it on a streamer once all tokens have been chosen."""

    def ended(self, steps: int) -> list[float]:
        """Take the last mark, when the call has returned, and return all of them in seconds.

        It is the mark of the last of ``steps`` steps, too. So that of the last step is dropped, and those of further
        steps, whose tokens ``generate()`` may not return.
        """
        self._clock.mark()
        marks_s = self._clock.marks_s()
        return [*marks_s[: steps + 1], marks_s[-1]] if self._clock.every_step else marks_s


class Scores:
    """A logits processor: masks end tokens in place, and tells ``marks`` that the scores of a step have been asked for.

    It is an object with ``__call__``, as transformers' own are. ``generate()`` inspects the signature of each processor
    at each step, which takes several times longer for a function or a bound method (0.2 ms on one CPU).
    """

    def __init__(self, masked: Sequence[int], marks: Marks | None) -> None:
        self._masked, self._marks = masked, marks

    def __call__(self, token_XN: Tensor, scores_XV: Tensor) -> Tensor:
        """Return the scores, float32 [X, V]: logits, or with beams the log-probabilities of every beam."""
        for number in self._masked:  # one slice per id: a list of ids as an index would be copied to the device
            scores_XV[:, number] = -float("inf")
        if self._marks is not None:
            self._marks.chosen()
        return scores_XV
