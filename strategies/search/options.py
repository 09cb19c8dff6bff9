"""Which search a cell decodes by, and its options. This module does not import torch."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import ClassVar, Literal

Stop = Literal["fixed", "eos"]
EarlyStopping = Literal["true", "false", "never"]


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
    """

    kind: Literal["beam"] = field(default="beam", init=False, repr=False)
    num_beams: int = 4
    length_penalty: float = 1.0
    early_stopping: EarlyStopping = "false"
    num_return: int = 1

    @property
    def width(self) -> int:
        """W, the rows that each sentence has in the decoder."""
        return self.num_beams

    @property
    def returned(self) -> int:
        """Sequences returned per sentence."""
        return self.num_return


@dataclass(frozen=True)
class Sample:
    """Sampling from the softmax of logits / ``temperature``.

    It is cut to the ``top_k`` most likely ids (0: no cut; Fan et al. 2018, arXiv 1805.04833), then to the fewest most
    likely ids whose probabilities come to ``top_p`` (1: no cut; Holtzman et al. 2020, arXiv 1904.09751).
    """

    kind: Literal["sample"] = field(default="sample", init=False, repr=False)
    width: ClassVar[int] = 1
    returned: ClassVar[int] = 1
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0


Search = Greedy | Beam | Sample
SEARCHES: dict[str, type[Search]] = {one.kind: one for one in (Greedy, Beam, Sample)}
"""Every search by its name in the configuration."""
