"""What a contender gives back from one round."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Decoded:
    """Sequences and marks of one round.

    ``token_ids``: the tokens of each sequence, up to and with EOS. Greedy search returns one sequence of each sentence.
    Beam search returns R = ``num_return`` of each: the R of a sentence side by side, the best first, B * R in all.

    ``marks_s``: seconds from the start (0) to the end of the encoder, to the first token, and to each later token; the
    last mark is the moment when the call returned. Beam search may take more steps than the longest sequence that it
    returns has tokens, and each of them has a mark. With ``every_step`` false, the return is the only mark after the
    first token: four marks, also of a single token. A mark between start and return that the library does not let one
    take is NaN.

    ``scores``: the score of each sequence under beam search, its summed log-probability over its length (EOS included)
    to the power of ``length_penalty``; None where the library has none. Only those of the first round are read, so a
    contender may leave them out of the others.
    """

    token_ids: list[list[int]]
    marks_s: list[float]
    every_step: bool = True
    scores: list[float] | None = None
