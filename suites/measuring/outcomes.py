"""The outcome of each arm of a cell: status, reason and figures. Every arm begins as "not reached"."""

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
    """One ``ArmResult`` per arm, by label, in the order of the arms."""

    def __init__(
        self,
        executions: Mapping[str, str | None],
        keep: Callable[[str, str], str],
        cell: str,
        exact: Mapping[str, bool] | None = None,
    ) -> None:
        """``executions``: label -> execution of its steps, None for a contender.

        ``exact``: label of a strategy -> whether it is exact.
        ``keep`` writes the traceback of an arm, given its label and the text, to a file and returns the file's name.
        ``cell`` is the cell's id.
        """
        self._results = {
            label: ArmResult(label, "failed", NOT_REACHED, execution=how, exact=(exact or {}).get(label))
            for label, how in executions.items()
        }
        self._keep, self._folder = keep, f"cells/{cell}"

    def __contains__(self, label: str) -> bool:
        return label in self._results

    def note(self, label: str, **known: Any) -> None:
        """Set fields of the result of an arm."""
        self._results[label] = replace(self._results[label], **known)

    def settle(self, label: str, status: Status, reason: str) -> None:
        """Set the status and reason of an arm that goes no further."""
        self.note(label, status=status, reason=reason)

    def fail(self, label: str, fault: Fault) -> None:
        """Note that an arm raised an error. Its reason names the file with the traceback, if there is one."""
        self.settle(label, fault.status, self.kept(label, fault))

    def kept(self, label: str, fault: Fault) -> str:
        """Write the traceback of a fault to a file and return the reason, which names that file."""
        if not fault.traceback:
            return fault.reason
        try:
            return f"{fault.reason}; traceback in {self._folder}/{self._keep(label, fault.traceback)}"
        except OSError:  # a full disk, say
            return fault.located

    def finish(self, arm: Arm, oracle_BN: Tensor | None) -> None:
        """Note the figures of an arm whose rounds are done.

        Its tokens are compared with ``oracle_BN``, the oracle's, int64 [B, N]; None if the oracle was not timed.
        """
        assert arm.token_BN is not None
        self.note(
            arm.label,
            status="ok",
            reason=arm.remark,
            setup_s=arm.setup_s,
            steps=arm.steps,
            row_lens=arm.row_lens(),
            tokens_equal=None if oracle_BN is None else torch.equal(arm.token_BN, oracle_BN),
            **arm.figures(),
        )

    def fail_open(self, fault: Fault) -> None:
        """Fail every arm without an outcome, because something that all of them need failed. One traceback is kept."""
        self.settle_open(fault.status, self.kept("cell", fault))

    def settle_open(self, status: Status, reason: str) -> None:
        """Set the status and reason of every arm that has no outcome yet."""
        for label in self.open():
            self.settle(label, status, reason)

    def open(self) -> list[str]:
        """Labels of the arms that have no outcome yet."""
        return [label for label, result in self._results.items() if result.reason == NOT_REACHED]

    def all(self) -> list[ArmResult]:
        """Results of all arms."""
        return list(self._results.values())
