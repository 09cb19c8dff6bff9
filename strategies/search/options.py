"""Which search a cell decodes by, and its options. This module does not import torch."""

from __future__ import annotations

import math
import reprlib
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, get_args

from ..models.mistake import Mistake

LARGEST = 80.0
"""The largest natural logarithm of what scores are divided by; float32 holds numbers up to about exp(88)."""
Stop = Literal["fixed", "eos"]
EarlyStopping = Literal["true", "false", "never"]


class SearchError(Mistake):
    """A search has an option that no search could have. The message is one line: what, value, allowed, remedy."""


@dataclass(frozen=True)
class Greedy:
    """The most likely token at each step."""

    kind: Literal["greedy"] = field(default="greedy", init=False, repr=False)
    width: ClassVar[int] = 1
    returned: ClassVar[int] = 1


@dataclass(frozen=True)
class Beam:
    """Beam search: W = ``num_beams`` sequences of each sentence are continued at each step, those of the best scores.

    The score of a sequence that has ended is the sum of its log-probabilities over ``length ** length_penalty``, its
    EOS counted. ``early_stopping`` says when a sentence is done: "true" once W sequences have ended; "false" once the
    best sequence that goes on could no longer be better than the worst of W that have ended, if it ended now; "never"
    once it could not at any length up to the most. ``num_return`` sequences of each sentence are returned.

    Raises SearchError for an option that is not of its kind or out of its range.
    """

    kind: Literal["beam"] = field(default="beam", init=False, repr=False)
    num_beams: int = 4
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = "false"
    num_return: int = 1

    def __post_init__(self) -> None:
        _check("num_beams", self.num_beams, _is_whole(self.num_beams, 1), "a whole number of at least 1")
        _check("length_penalty", self.length_penalty, _is_finite(self.length_penalty), "a finite number")
        known = get_args(EarlyStopping)
        is_known = isinstance(self.early_stopping, str) and self.early_stopping in known
        _check("early_stopping", self.early_stopping, is_known, f"one of the strings {', '.join(known)}")
        within = _is_whole(self.num_return, 1) and self.num_return <= self.num_beams
        allowed = f"a whole number of at least 1 and at most num_beams={self.num_beams}, or more beams"
        _check("num_return", self.num_return, within, allowed)

    @property
    def width(self) -> int:
        """W, the rows that each sentence has in the decoder."""
        return self.num_beams

    def out_of_range(self, max_new: int) -> str:
        """Say that ``max_new`` to the power of the length penalty is out of the range of float32; "" if it is not."""
        if abs(self.length_penalty) * math.log(max_new) <= LARGEST:
            return ""
        return (
            f"length_penalty={self.length_penalty} is not allowed with {max_new} tokens: {max_new} to this power is "
            f"out of the range of float32; give at most {LARGEST / math.log(max_new):.3g} and at least its negative"
        )

    @property
    def returned(self) -> int:
        """Sequences returned per sentence."""
        return self.num_return


@dataclass(frozen=True)
class Sample:
    """Sampling from the softmax of logits / ``temperature``.

    It is cut to the ``top_k`` most likely ids (0: no cut; Fan et al. 2018, arXiv 1805.04833), then to the fewest most
    likely ids whose probabilities come to ``top_p`` (1: no cut; Holtzman et al. 2020, arXiv 1904.09751).

    Raises SearchError for an option that is not of its kind or out of its range.
    """

    kind: Literal["sample"] = field(default="sample", init=False, repr=False)
    width: ClassVar[int] = 1
    returned: ClassVar[int] = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0

    def __post_init__(self) -> None:
        is_positive = _is_finite(self.temperature) and self.temperature > 0
        allowed = "a finite number above 0 (for the most likely token at each step, use greedy search)"
        _check("temperature", self.temperature, is_positive, allowed)
        _check("top_k", self.top_k, _is_whole(self.top_k, 0), "a whole number of at least 0 (0: no cut)")
        is_share = _is_finite(self.top_p) and 0 < self.top_p <= 1
        _check("top_p", self.top_p, is_share, "a number above 0 and at most 1 (1: no cut)")


Search = Greedy | Beam | Sample
SEARCHES: dict[str, type[Search]] = {one.kind: one for one in (Greedy, Beam, Sample)}
"""Every search by its name in the configuration."""


def _is_whole(value: Any, least: int) -> bool:
    return type(value) is int and value >= least


def _is_finite(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _check(name: str, value: Any, is_right: bool, allowed: str) -> None:
    if not is_right:
        raise SearchError(f"{name}={reprlib.repr(value)} is not allowed; give {allowed}")
