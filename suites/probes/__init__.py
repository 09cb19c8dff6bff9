"""Probes of a running model: matrix products, operators, memory. Each watches a round that is not timed."""

from .dispatch import ProbeError
from .memory import PeakMemory, peak_memory
from .module_calls import module_calls, role_of
from .products import record
from .recording import CopyRecord, ProductRecord, Recording, tally
from .traffic import role_bytes, step_bytes
from .work import Work, WorkCounter

__all__ = [
    "CopyRecord",
    "PeakMemory",
    "ProbeError",
    "ProductRecord",
    "Recording",
    "Work",
    "WorkCounter",
    "module_calls",
    "peak_memory",
    "record",
    "role_bytes",
    "role_of",
    "step_bytes",
    "tally",
]
