"""What comes of each arm of a cell, from "not reached" on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..settings.faults import Fault
from ..store.records import ArmResult, Status
from .arms import Arm

NOT_REACHED = "not reached"


class Outcomes:
    """One ``ArmResult`` for each arm, by label, in their order."""

    def __init__(self, executions: Mapping[str, str | None], keep: Callable[[str, str], str]) -> None:
        """``executions``: label -> how its steps are executed, None of a contender. ``keep`` puts an arm's traceback,
        given its label and text, into a file and returns the file's name.
        """
        self._results = {
            label: ArmResult(label, "failed", NOT_REACHED, execution=how) for label, how in executions.items()
        }
        self._keep = keep

    def __contains__(self, label: str) -> bool:
        return label in self._results

    def note(self, label: str, **known: Any) -> None:
        """Set fields of an arm."""
        self._results[label] = replace(self._results[label], **known)

    def settle(self, label: str, status: Status, reason: str) -> None:
        """An arm goes no further."""
        self.note(label, status=status, reason=reason)

    def fail(self, label: str, fault: Fault) -> None:
        """An arm raised something: its reason names the file that holds the traceback, if there is more to say."""
        self.settle(label, fault.status, self.kept(label, fault))

    def kept(self, label: str, fault: Fault) -> str:
        """The reason of a fault, whose traceback is put into a file."""
        if not fault.traceback:
            return fault.reason
        try:
            return f"{fault.reason}; traceback in {self._keep(label, fault.traceback)} beside cell.json"
        except OSError:  # a full disk, say
            return fault.located

    def finish(self, arm: Arm, oracle_BN: Tensor | None) -> None:
        """An arm's rounds are done; its tokens are held beside the oracle's, int64 [B, N], where that was timed too."""
        assert arm.token_BN is not None
        self.note(
            arm.label,
            status="ok",
            reason=arm.remark,
            setup_s=arm.setup_s,
            steps=arm.token_BN.shape[1],
            row_lens=arm.row_lens(),
            tokens_equal=None if oracle_BN is None else torch.equal(arm.token_BN, oracle_BN),
            **arm.figures(),
        )

    def fail_open(self, fault: Fault) -> None:
        """What all arms need did so: one traceback for all that nothing was said of yet."""
        self.settle_open(fault.status, self.kept("cell", fault))

    def settle_open(self, status: Status, reason: str) -> None:
        """Nor does any arm that nothing was said of yet."""
        for label in self.open():
            self.settle(label, status, reason)

    def open(self) -> list[str]:
        """Labels of those."""
        return [label for label, result in self._results.items() if result.reason == NOT_REACHED]

    def all(self) -> list[ArmResult]:
        """Of every arm."""
        return list(self._results.values())
