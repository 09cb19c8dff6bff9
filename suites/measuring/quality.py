"""What an approximate strategy loses, measured before it is timed.

First it is fed the tokens that an exact strategy chooses, and its next-token distributions are compared with the exact
ones (``divergence``). Then both decode freely, and their outputs are compared.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial

from strategies.models.pronounce.error_rates import fewest_edits
from strategies.search.searching import Sequences

from ..settings.cells import Cell
from ..settings.faults import contained
from ..timing.clock import clocks
from ..words.quality import steps_remark
from .arms import StrategyArm
from .equality import check
from .outcomes import Outcomes
from .spoiled import answering


def admitted(
    judge: StrategyArm,
    arms: Sequence[StrategyArm],
    cell: Cell,
    outcomes: Outcomes,
    advance: Callable[[StrategyArm, float], None] = lambda arm, decodes: None,
) -> list[StrategyArm]:
    """Measure the quality of approximate ``arms`` beside ``judge``, which is exact; return those that may be timed.

    What was found, or why an arm may not be timed, goes to ``outcomes``. ``advance`` is given an arm and how many
    decodes, or parts of one, it has done. Raises whatever the judge raises.

    Trained weights are fed the tokens as the search chooses them. A model of random weights may choose the same token
    at every step. Then all rows of K and V are alike, and leaving some out would lose nothing. So its tokens change as
    they do where exact strategies are compared (``equality.check``), and nothing is said of its free output.

    The text of trained weights ends where the judge finds an end most likely, and what follows is not judged. So with
    ``stop=fixed``, too, both decode freely until the end. Random weights know no end: the cell's stop holds for them.
    With ``stop=eos`` the timed rounds end where the free output does, so an arm that takes other steps than the judge
    has a remark.
    """
    trained = cell.model.source != "random"
    stop = "eos" if trained else cell.stop
    found = check(
        judge,
        arms,
        cell.rounding,
        judge.search(),
        fixed=cell.stop == "fixed",
        advance=lambda arm: advance(arm, 1 / cell.tgt_len),
        as_chosen=trained,
    )
    clock, passed = clocks(cell.device)[0], []
    with answering(judge.label):
        judge.decode(clock, stop=stop)
        advance(judge, 1)
    for arm, agreement in zip(arms, found, strict=True):
        if agreement.fault:
            outcomes.fail(arm.label, agreement.fault)
        elif agreement.reason:
            outcomes.settle(arm.label, "invalid", agreement.reason)
        else:
            with contained(partial(outcomes.fail, arm.label)), answering(arm.label):
                arm.decode(clock, stop=stop)
                assert judge.found is not None
                assert arm.found is not None
                outcomes.note(arm.label, **agreement.quality())
                if trained:
                    equal, error = beside(best(judge.found, cell), best(arm.found, cell))
                    outcomes.note(arm.label, sequences_equal=equal, token_error=error)
                if cell.stop == "eos" and arm.steps != judge.steps:
                    arm.remark_on(steps_remark(arm.steps, judge.steps))
                passed.append(arm)
        advance(arm, 1)
    return passed


def best(found: Sequences, cell: Cell) -> list[list[int]]:
    """The tokens of the best sequence of each sentence, up to and with its end."""
    rows = zip(found.token_RN.tolist(), found.length_R.tolist(), strict=True)
    return [row[:length] for row, length in rows][:: cell.search.returned]


def beside(exact: Sequence[Sequence[int]], output: Sequence[Sequence[int]]) -> tuple[float, float]:
    """(share of equal sequences, edits that make the output exact over the exact tokens).

    An edit inserts, deletes or replaces a token.

    >>> beside([[5, 6, 7], [8]], [[5, 7], [8]])
    (0.5, 0.25)
    """
    pairs = list(zip(exact, output, strict=True))
    edits = sum(_edits(right, mine) for right, mine in pairs)
    return sum(right == mine for right, mine in pairs) / len(pairs), edits / max(1, sum(map(len, exact)))


def _edits(right: Sequence[int], mine: Sequence[int]) -> int:
    """Edits between two sequences. Equal tokens at their start cost none, and most of two long ones may be equal."""
    same = 0
    while same < min(len(right), len(mine)) and right[same] == mine[same]:
        same += 1
    return fewest_edits([[right[same:]]], mine[same:])[0]
