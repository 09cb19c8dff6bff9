"""What a model did, and what it held, each measured in a round of its own: never inside a timed one."""

from .dispatch import ProbeError
from .memory import PeakMemory, peak_memory
from .module_calls import module_calls, role_of
from .products import CopyRecord, ProductRecord, Recording, record, tally
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
