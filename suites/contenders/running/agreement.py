"""Whether a contender's tokens are the oracle's: each is compared with the oracle's logits after the same prefix."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from strategies.search.rules import Rules

from ...measuring.arms import StrategyArm
from ...measuring.equality import TOLERANCE
from ...probes.finite import require_finite


@dataclass(frozen=True)
class TokenCheck:
    """Of ``total`` tokens, ``different`` are not the oracle's choice, the first of them at ``first``.

    ``first`` reads "step 5 of row 1". ``wrong`` describes the first token whose logit is lower than the oracle's best
    by more than rounding explains, or is "".
    """

    total: int
    different: int = 0
    first: str = ""
    wrong: str = ""

    def reason(self, exact: bool) -> tuple[bool, str]:
        """(whether it passes, the remark for a table). With weights of another type, every contender passes."""
        if not self.different:
            return True, ""
        count = f"{self.different} of {self.total} tokens {'is' if self.different == 1 else 'are'}"
        if not exact:
            return True, f"other numerics: {count} not the oracle's choice, the first at {self.first}"
        if self.wrong:
            return False, self.wrong
        return (
            True,
            f"ties: {count} another of the oracle's best, which rounding tells apart; the first at {self.first}",
        )


def check_tokens(oracle: StrategyArm, token_ids: Sequence[Sequence[int]], dtype: str, fixed: bool) -> TokenCheck:
    """Feed the oracle a contender's tokens, and compare each token with the oracle's best at that step.

    A token passes if its logit is within twice the tolerance of the best logit. The oracle is fed the contender's
    tokens, so tokens after a tie are judged, too. ``token_ids``: the tokens of each sentence, up to and with EOS.
    Raises NotFiniteError if the oracle's logits are not finite.
    """
    session, config = oracle.session, oracle.session.model.config
    lengths_B = torch.tensor([len(row) for row in token_ids])
    steps, total = int(lengths_B.max()), int(lengths_B.sum())
    token_BN = padded(token_ids, config.pad_id).to(session.model.embedding.weight.device)
    rules = Rules(config, session.max_new, "fixed" if fixed else "eos", token_BN.device)
    oracle.prefill()
    different, first, wrong = 0, "", ""
    token_B = session.first_X
    for n in range(steps):
        logits_BV = session.step(token_B).float().clone()
        require_finite(logits_BV, session.model, oracle.label, n + 1)
        allowed = 2 * TOLERANCE[dtype] * max(1.0, float(logits_BV.abs().max()))
        rules.apply(logits_BV, n + 1)
        token_B = token_BN[:, n]
        best_B, best_id_B = logits_BV.max(-1)
        gap_B = best_B - logits_BV.gather(1, token_B[:, None])[:, 0]
        other_B = (token_B != best_id_B).cpu() & (n < lengths_B)
        for row in other_B.nonzero()[:, 0].tolist():
            different += 1
            first = first or f"step {n + 1} of row {row}"
            if not wrong and not float(gap_B[row]) <= allowed:
                why = f"whose logit is {float(gap_B[row]):.3g} higher; allowed {allowed:.3g}"
                if gap_B[row] == torch.inf:
                    why = "as the model's rules forbid the former at this step"
                wrong = (
                    f"step {n + 1}: row {row} has token {int(token_B[row])}, the oracle {int(best_id_B[row])}, {why}"
                )
    return TokenCheck(total, different, first, wrong)


def padded(token_ids: Sequence[Sequence[int]], pad_id: int) -> Tensor:
    """Token ids as a tensor, int64 [B, N], rows padded at their end.

    >>> padded([[5, 6], [7]], 0).tolist()
    [[5, 6], [7, 0]]
    """
    longest = max(map(len, token_ids))
    return torch.tensor([[*row, *[pad_id] * (longest - len(row))] for row in token_ids])
