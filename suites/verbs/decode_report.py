"""What ``decode`` prints: outputs, a table by strategy, and closing lines that say which strategies agree."""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from rich.table import Table
from torch import Tensor

from ..measuring.equality import Agreement
from ..settings.cells import Cell
from ..words.console import UNBROKEN, standard_output
from ..words.quality import losses
from .decoded_text import Words, until_end


@dataclass(frozen=True)
class Decoded:
    """Tokens of one strategy, int64 [B, N], and the marks of its timed rounds in seconds: start, prefill, ..., end.

    A strategy that disagrees with the oracle is not timed: it has no tokens and no rounds.
    """

    label: str
    agreement: Agreement
    token_BN: Tensor | None
    rounds: Sequence[Sequence[float]]

    @property
    def is_exact(self) -> bool:
        """Whether it had to give the oracle's logits; an approximate strategy need not."""
        return self.agreement.divergence is None


def print_report(cell: Cell, words: Words, decoded: Sequence[Decoded]) -> None:
    """Print to standard output. The first of ``decoded`` is the oracle."""
    console = standard_output(UNBROKEN)
    oracle_BN = decoded[0].token_BN
    assert oracle_BN is not None, "the oracle agrees with itself"
    for row, phrase in enumerate(words.phrases):
        for line in (phrase, *output_lines(words, decoded, row, cell.tgt_len), ""):
            console.print(line, soft_wrap=True)
    console.print(_table(cell, decoded, oracle_BN.shape[1]))
    console.print()
    for line in closing_lines(decoded):
        console.print(line, soft_wrap=True)


def output_lines(words: Words, decoded: Sequence[Decoded], row: int, limit: int) -> list[str]:
    """Each output of a source and the step of its end: the oracle's, then others with the strategies that gave them."""
    given: dict[tuple[str, str], list[str]] = {}
    for label, ids in _outputs(decoded, row).items():
        kept, end = until_end(ids, words.eos_ids)
        told = f"ended at step {end}" if end else f"not ended at the limit of {limit} steps"
        given.setdefault((words.said(kept), told), []).append(label)
    lines = []
    for place, ((text, told), labels) in enumerate(given.items()):
        lines += [f"  {text}", f"  {told}{': ' + ', '.join(labels) if place else ''}"]
    return lines


def _outputs(decoded: Sequence[Decoded], row: int) -> dict[str, list[int]]:
    """Label -> token ids of one source, of each strategy that was timed."""
    return {arm.label: arm.token_BN[row].tolist() for arm in decoded if arm.token_BN is not None}


def _table(cell: Cell, decoded: Sequence[Decoded], steps: int) -> Table:
    threads = f", {cell.threads} {'thread' if cell.threads == 1 else 'threads'}" if cell.device == "cpu" else ""
    batch = f"{cell.batch_size} {'phrase' if cell.batch_size == 1 else 'phrases'}"
    batch += f", {steps} {'step' if steps == 1 else 'steps'}"
    title = f"{batch}, on {cell.device}{threads}, {cell.dtype}: medians of {len(decoded[0].rounds)} rounds"
    table = Table(title=title, title_justify="left", title_style="bold", box=None, pad_edge=False)
    for name in ("strategy", "prefill ms", "total ms", "ms a step", f"x {decoded[0].label}", "agrees"):
        left = name in ("strategy", "agrees")
        table.add_column(name, justify="left" if left else "right", header_style="", overflow="fold")
    for arm in decoded:
        if not arm.rounds:
            table.add_row(arm.label, "", "", "", "", "no")
            continue
        found = _times(arm, decoded[0], steps)
        times_ms = (f"{1e3 * found[name]:.2f}" for name in ("prefill_s", "total_s", "step_s"))
        table.add_row(arm.label, *times_ms, f"{found['ratio']:.2f}", "yes" if arm.is_exact else "approximate")
    return table


def _times(arm: Decoded, oracle: Decoded, steps: int) -> dict[str, float]:
    """Medians over rounds. The ratio is the median of the ratios of totals within rounds."""
    pairs = zip(arm.rounds, oracle.rounds, strict=True)
    return {
        "prefill_s": statistics.median(marks[1] for marks in arm.rounds),
        "total_s": statistics.median(marks[-1] for marks in arm.rounds),
        "step_s": statistics.median((marks[-1] - marks[1]) / steps for marks in arm.rounds),
        "ratio": statistics.median(mine[-1] / other[-1] for mine, other in pairs),
    }


def as_json(words: Words, decoded: Sequence[Decoded]) -> str:
    """Return phrases with the oracle's output, and strategies with their outputs, agreement and times."""
    oracle_BN = decoded[0].token_BN
    assert oracle_BN is not None, "the oracle agrees with itself"
    phrases = []
    for row, phrase in enumerate(words.phrases):
        outputs = {label: until_end(ids, words.eos_ids)[0] for label, ids in _outputs(decoded, row).items()}
        phrases.append({"phrase": phrase} | words.entry(outputs))
    strategies = [
        {"strategy": arm.label, "exact": arm.is_exact, "reason": arm.agreement.reason or None}
        | {"agrees": not arm.agreement.reason if arm.is_exact else None}
        | ({} if arm.agreement.reason else arm.agreement.quality())
        | (_times(arm, decoded[0], oracle_BN.shape[1]) if arm.rounds else {})
        for arm in decoded
    ]
    return json.dumps({"phrases": phrases, "strategies": strategies}, indent=1)


def closing_lines(decoded: Sequence[Decoded]) -> list[str]:
    """Say that all agree, or where one departs from the oracle; a tie that was decided differently is told, too.

    Of an approximate strategy they say how far it departs.
    """
    oracle = decoded[0]
    lines = []
    for arm in decoded:
        if arm.agreement.reason:
            what = "failed" if arm.agreement.fault or not arm.is_exact else f"disagrees with {oracle.label}"
            lines.append(f"{arm.label} {what}: {arm.agreement.reason}")
        elif not arm.is_exact:
            place = first_difference(arm.token_BN, oracle.token_BN)
            said = f"its output differs first in phrase {place[0] + 1} at step {place[1]}" if place else "equal output"
            lines.append(f"{arm.label} is approximate: {losses(arm.agreement.quality(), math.nan)}, {said}")
        elif place := first_difference(arm.token_BN, oracle.token_BN):
            row, step = place
            where = f"in phrase {row + 1} at step {step}"
            lines.append(f"{arm.label} chose otherwise {where}, where two tokens are equally likely within rounding")
    exact = [arm for arm in decoded if arm.is_exact]
    if len(exact) > 1 and not any(arm.agreement.reason for arm in exact):
        worst = max(arm.agreement.max_error for arm in exact)
        which = f"all {len(exact)} {'exact ' * (len(exact) < len(decoded))}strategies"
        lines.append(f"{which} agree: logits differ by at most {worst:.1e} at any step")
    return lines


def first_difference(token_BN: Tensor | None, oracle_BN: Tensor | None) -> tuple[int, int] | None:
    """(row from 0, step from 1) of the first token that differs, None if none does.

    Both are int64 [B, N], and N may differ.
    """
    if token_BN is None or oracle_BN is None:
        return None
    steps = min(token_BN.shape[1], oracle_BN.shape[1])
    differs_X2 = (token_BN[:, :steps] != oracle_BN[:, :steps]).T.nonzero()
    if not len(differs_X2):
        return None
    step, row = differs_X2[0].tolist()
    return row, step + 1
