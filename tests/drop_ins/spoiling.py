"""Growing caches that spoil CUDA for their process, kill it or stop it, each for targets of one length alone.

Without a CUDA device, CUDA seems to be in use and spoiled from that moment on. Beside this file they note the process
of each session, with its target length.
"""

import math
import os
import resource
import signal
import time
from dataclasses import dataclass
from pathlib import Path

import psutil
import torch

from .contiguous_kv import ContiguousKV, ContiguousStore
from .strategy import register


def note(name, max_new):
    with Path(__file__).with_suffix(f".{name}").open("a") as file:
        file.write(f"{max_new} {os.getpid()}\n")


def refused(*arguments):
    raise torch.AcceleratorError("CUDA error: device-side assert triggered\nand what it says more")


def spoil(device, silent):
    if device.type == "cuda":  # no such row: a kernel finds it, some time after this call
        torch.nn.functional.embedding(torch.tensor([7], device=device), torch.zeros(2, 3, device=device))
        return
    torch.cuda.is_initialized, torch.cuda.synchronize = lambda: True, refused
    if not silent:
        refused()


class OddStore(ContiguousStore):
    """Does its deed when it is told to forget a batch for the time after ``batches``."""

    def __init__(self, shape, deed, batches):
        super().__init__(shape)
        self._deed, self._batches = deed, batches
        note("pids", shape.max_new)

    def reset(self):
        super().reset()
        self._batches -= 1
        if self._batches < 0:
            self._batches = math.inf
            self._deed()


@dataclass(frozen=True)
class Odd(ContiguousKV):
    at: int = 0
    batches: int = 1

    @property
    def supports(self):
        return frozenset({"eager"})

    def self_kv(self, shape):
        return OddStore(shape, lambda: self.deed(shape), self.batches if shape.max_new == self.at else math.inf)


@register("spoils")
@dataclass(frozen=True)
class Spoils(Odd):
    """Spoils CUDA; ``silent``: by a kernel whose error no call of its own raises."""

    silent: bool = False

    def deed(self, shape):
        spoil(shape.device, self.silent)


@register("dies")
@dataclass(frozen=True)
class Dies(Odd):
    """Ends its process."""

    def deed(self, shape):
        os.kill(os.getpid(), signal.SIGSEGV)


@register("signals")
@dataclass(frozen=True)
class Signals(Odd):
    """Sends a signal to the run: to its own process, or to the one that started the server of its process."""

    number: int = 2

    def deed(self, shape):
        chain = [os.getpid(), *(process.pid for process in psutil.Process().parents())]
        apart = "suites.jobs.fork_server" in psutil.Process(os.getppid()).cmdline()
        os.kill(chain[2 if apart else 0], self.number)


@register("exits")
@dataclass(frozen=True)
class Exits(Odd):
    """Ends its process as if all were well."""

    def deed(self, shape):
        os._exit(0)


@register("grows")
@dataclass(frozen=True)
class Grows(Odd):
    """Asks for more memory than its process may have from now on."""

    def deed(self, shape):
        resource.setrlimit(resource.RLIMIT_AS, (psutil.Process().memory_info().vms + (1 << 28),) * 2)
        torch.ones(1 << 30)


@register("full")
@dataclass(frozen=True)
class Full(Odd):
    """Says what torch's allocator of CUDA memory says."""

    def deed(self, shape):
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB.")


@register("stops")
@dataclass(frozen=True)
class Stops(Odd):
    """Goes no further; ``deaf``: and hears no Ctrl-C."""

    deaf: bool = False

    def deed(self, shape):
        if self.deaf:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
        note("stopped", shape.max_new)
        time.sleep(600)
