"""CUDA errors after which a process cannot use CUDA any more, and which arm is to blame for one.

Such an error (an access to an illegal address, a failed assertion in a kernel, an ECC error) is "sticky": every later
CUDA call of the process raises it again. Kernels run after the call that started them has returned, so the error may
show in any later call, even in the code of another arm. Therefore each stage of an arm (set-up, each of its steps in
the proof of equality, memory and dispatch, its turn in a round) ends with waiting for the device, outside of what is
timed. So an error of an arm's kernels is raised within the arm's own stage, and the arm to blame is the one whose stage
raised first. A repeat of the baseline (A/A) is the baseline's, and a comparison with full recompute is full recompute's
unless another arm is taking its step. What belongs to no arm (loading, calibration) is nobody's. The same stages say
which arm was at work where the process just dies.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from ..machine.signals import is_stop
from ..settings.faults import Fault, SpoiledError


class _Work:
    """Which arm is at work, "" where what is done belongs to no arm."""

    def __init__(self) -> None:
        self.label = ""
        self.told: Callable[[str], None] = lambda label: None

    def turn(self, label: str) -> None:
        """Note that ``label`` is at work from now on."""
        if label != self.label:
            self.label = label
            self.told(label)


_work = _Work()


def watch_work(told: Callable[[str], None]) -> None:
    """Have ``told`` called with the label of the arm that is at work, whenever that changes."""
    _work.told = told


def _in_use() -> bool:
    """Whether this process has used a CUDA device."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def is_spoiled() -> bool:
    """Whether no CUDA call of this process can succeed any more.

    An error that leaves CUDA usable, such as a lack of memory, is raised by one call at most. So two are made.
    """
    if not _in_use():
        return False
    for _ in range(2):
        try:
            torch.cuda.synchronize()
        except RuntimeError:
            continue
        return False
    return True


@contextmanager
def answering(label: str) -> Iterator[None]:
    """Hold the arm ``label`` to account for the ``with`` block; "" for what belongs to no arm.

    At the end it waits for the CUDA device, if this process uses one, so that what kernels raise is raised here. Raises
    SpoiledError instead of any error that spoiled CUDA.
    """
    before = _work.label
    _work.turn(label)
    try:
        yield
        if _in_use():
            torch.cuda.synchronize()
    except SpoiledError:
        raise
    except BaseException as error:  # a user's strategy may wrap the CUDA error into one of its own
        if not is_stop(error) and is_spoiled():
            raise SpoiledError(label, Fault.of(error)) from error
        raise
    finally:
        _work.turn(before)
