"""Whether a contender's beam search found the oracle's sequences; where it did not, what the oracle thinks of them."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import torch

from strategies.search.beam import BeamSearch
from strategies.search.loop import decode
from strategies.search.rules import Rules

from ...measuring.arms import StrategyArm
from ...measuring.equality import TOLERANCE
from ...probes.finite import require_finite
from ...settings.cells import Cell
from .agreement import padded

Rows = Sequence[Sequence[int]]


FALL = 0.1
"""How far below the oracle's mean score, as a share of it, that of another beam search may be."""


@dataclass(frozen=True)
class Found:
    """What the oracle's search found: B * R sequences, their scores, and the ties of each of the B sentences.

    A tie is a choice that rounding could turn. A sequence without tokens was never found: the search came to fewer than
    R.
    """

    rows: list[list[int]]
    scores: list[float]
    ties: list[int]


@dataclass(frozen=True)
class SequenceCheck:
    """Of ``total`` sequences, ``different`` are not the oracle's.

    ``score`` and ``oracle_score`` are the mean scores of the contender's sequences and of the oracle's own, both by the
    oracle. ``wrong`` describes the first sequence that differs though the oracle had no tie in its sentence.
    ``misjudged`` describes the first whose score by the contender is not that by the oracle. Each is "" if there is
    none. ``ties`` are the oracle's in the sentences that differ.
    """

    total: int
    different: int = 0
    score: float = 0.0
    oracle_score: float = 0.0
    wrong: str = ""
    misjudged: str = ""
    ties: int = 0

    def reason(self, exact: bool, own_rules: str) -> tuple[bool, str]:
        """(whether it passes, the remark for a table).

        With weights of another type (not ``exact``) every contender passes. With a search of ``own_rules`` it passes if
        its mean score is not below the oracle's by more than ``FALL``.
        """
        count = f"{self.different} of {self.total} sequences {'differs' if self.different == 1 else 'differ'}"
        means = f"mean score {self.score:.4g} against {self.oracle_score:.4g}, both by full_recompute"
        if not exact:
            return True, f"other numerics: {count}; {means}" if self.different else ""
        if own_rules and self.score < self.oracle_score - FALL * abs(self.oracle_score):
            return False, f"its own search rules ({own_rules}) explain no such loss: {count}; {means}"
        if own_rules:
            return True, f"its own search rules ({own_rules}): {count}; {means}" if self.different else ""
        if self.wrong or self.misjudged:
            return False, self.wrong or self.misjudged
        if self.different:
            turned = "1 choice" if self.ties == 1 else f"{self.ties} choices"
            return True, f"ties: {count}, and rounding could turn {turned} of the oracle's search; {means}"
        return True, ""


class BeamOracle:
    """The oracle's search over the cell's batch, which it makes once, and its judgement of a contender's sequences."""

    def __init__(self, oracle: StrategyArm, cell: Cell, dtype: str) -> None:
        """``dtype`` is the type whose rounding counts."""
        self._oracle, self._search, self._stop, self._tolerance = oracle, cell.search, cell.stop, TOLERANCE[dtype]
        self._found: Found | None = None

    def found(self) -> Found:
        """What the oracle's own search found."""
        if self._found is None:
            self._oracle.prefill()
            searching = self._oracle.search(self._tolerance)
            for _ in decode(self._oracle.session, searching, self._stop):
                pass
            assert isinstance(searching, BeamSearch)
            sequences = searching.sequences()
            rows, lengths = sequences.token_RN.tolist(), sequences.length_R.tolist()
            scores = [0.0] * len(rows) if sequences.score_R is None else sequences.score_R.tolist()
            cut = [row[:length] for row, length in zip(rows, lengths, strict=True)]
            self._found = Found(cut, scores, searching.tied_B().tolist())
        return self._found

    def check(self, rows: Rows, scores: Sequence[float] | None) -> SequenceCheck:
        """Compare a contender's sequences, each up to and with EOS, and its scores if it has any, with the oracle's.

        ``rows`` holds the R sequences of each sentence side by side. Raises NotFiniteError if the oracle's logits are
        not finite.
        """
        found = self.found()
        known = [place for place, row in enumerate(found.rows) if row]
        others = [place for place in known if found.rows[place] != list(rows[place])]
        ties = [found.ties[place // self._search.returned] for place in others]
        wrong = [place for place, tied in zip(others, ties, strict=True) if not tied]
        judged = self.scores(rows) if others else found.scores
        return SequenceCheck(
            total=len(rows),
            different=len(others),
            score=_mean(judged[place] for place in known),
            oracle_score=_mean(found.scores[place] for place in known),
            wrong=self._difference(wrong[0], rows[wrong[0]], judged[wrong[0]]) if wrong else "",
            misjudged="" if scores is None else self._misjudged(known, scores, judged),
            ties=sum(ties),
        )

    def scores(self, rows: Rows) -> list[float]:
        """The score of each sequence by the oracle, which is fed its tokens: -inf for one that no search may return."""
        session, search = self._oracle.session, self._search
        config, device = session.model.config, session.model.embedding.weight.device
        batch, width, returned = session.batch, search.width, search.returned
        lengths_R = torch.tensor([len(row) for row in rows], device=device)
        token_RN = padded(rows, config.pad_id).to(device)
        steps = token_RN.shape[1]
        # The rows of a sentence beyond its R sequences are fed padding.
        token_BWN = torch.full((batch, width, steps), config.pad_id, device=device)
        token_BWN[:, :returned] = token_RN.view(batch, returned, steps)
        sum_R = torch.zeros(batch * returned, device=device)
        rules = Rules(config, session.max_new, self._stop, device)
        self._oracle.prefill()
        token_X = session.first_X
        for n in range(steps):
            if n and width > 1:
                session.select(session.own_BW())
            logits_XV = session.step(token_X).float()
            require_finite(logits_XV, session.model, self._oracle.label, n + 1)
            logprob_XV = logits_XV.log_softmax(-1)
            rules.apply(logprob_XV, n + 1)
            token_X = token_BWN[:, :, n].flatten()
            chosen_R = logprob_XV.gather(1, token_X[:, None]).view(batch, width)[:, :returned].flatten()
            sum_R += chosen_R.masked_fill(n >= lengths_R, 0.0)
        penalty = getattr(search, "length_penalty", 0.0)
        scores: list[float] = (sum_R / lengths_R**penalty).tolist()
        return scores

    def _named(self, place: int) -> str:
        row, rank = divmod(place, self._search.returned)
        return f"row {row}" if self._search.returned == 1 else f"sequence {rank + 1} of row {row}"

    def _misjudged(self, places: Sequence[int], scores: Sequence[float], judged: Sequence[float]) -> str:
        """The first of ``places`` whose score is not that by the oracle, within the tolerance; "" if there is none."""
        for place in places:
            told, real = scores[place], judged[place]
            allowed = self._tolerance * max(1.0, abs(real))
            if not abs(told - real) <= allowed:
                return (
                    f"{self._named(place)} comes with the score {told:.6g}; by full_recompute it is {real:.6g}, and "
                    f"they may differ by {allowed:.3g}"
                )
        return ""

    def _difference(self, place: int, row: Sequence[int], score: float) -> str:
        """The first step in which the sequence at ``place`` is not the oracle's, and the scores of both."""
        found = self.found()
        own = found.rows[place]
        pairs = zip(row, own, strict=False)
        step = next((n for n, (theirs, ours) in enumerate(pairs) if theirs != ours), min(len(row), len(own)))
        theirs, ours = (f"token {tokens[step]}" if step < len(tokens) else "no token" for tokens in (row, own))
        return (
            f"step {step + 1}: {self._named(place)} has {theirs}, the oracle's search {ours}; by full_recompute the "
            f"scores of the two sequences are {score:.6g} and {found.scores[place]:.6g}"
        )


def _mean(values: Iterable[float]) -> float:
    found = list(values)
    return sum(found) / max(1, len(found))
