"""Which vector instructions native kernels may use: those that torch uses in this process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch

AVX2_FLAGS = ("-mavx2", "-mfma")
AVX512_FLAGS = ("-mavx512f", "-mavx512bw", "-mavx512dq", "-mavx512vl", *AVX2_FLAGS)
VNNI_FLAGS = ("-mavx512vnni", *AVX512_FLAGS)
AMX_FLAGS = ("-mamx-tile", "-mamx-int8")  # since g++ 11, as the next ones
AVX_VNNI_FLAGS = ("-mavxvnni",)


@dataclass(frozen=True)
class InstructionSet:
    """A set of vector instructions: its name, and the compiler's flags that allow them and no others.

    Where the compiler or its assembler is too old for the flags ``newer``, the code is made without them.
    """

    name: str
    flags: tuple[str, ...]
    newer: tuple[str, ...] = ()


NONE = InstructionSet("none", ())
"""The set of a processor that no native kernel is written for."""


def instruction_set() -> InstructionSet:
    """The set that torch uses in this process, ``NONE`` if it is neither AVX2 nor AVX-512.

    The environment variable ``ATEN_CPU_CAPABILITY`` lowers it, for torch and for native kernels alike.
    """
    capability = torch.backends.cpu.get_cpu_capability()
    if capability == "AVX2":
        if has("avx_vnni"):
            return InstructionSet("avx_vnni", AVX2_FLAGS, AVX_VNNI_FLAGS)
        return InstructionSet("avx2", AVX2_FLAGS)
    if capability != "AVX512":
        return NONE
    # The processor's word does not heed ATEN_CPU_CAPABILITY, so it is asked about AVX-512 alone.
    if not torch.cpu._is_vnni_supported():
        return InstructionSet("avx512", AVX512_FLAGS)
    # A process has to ask the system for tiles, once for all of its threads.
    if torch.cpu._is_amx_tile_supported() and torch.cpu._init_amx():
        return InstructionSet("amx_int8", VNNI_FLAGS, AMX_FLAGS)
    return InstructionSet("avx512_vnni", VNNI_FLAGS)


def has(capability: str) -> bool:
    """Whether the processor has an instruction set by torch's name; False where this version of torch does not tell."""
    told: Callable[[], Mapping[str, Any]] = getattr(torch.cpu, "get_capabilities", dict)
    return bool(told().get(capability))
