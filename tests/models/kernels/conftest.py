"""Native code for each instruction set of this processor."""

from collections.abc import Iterator

import pytest
import torch

from strategies.models.kernels.native import compiler, stages
from strategies.models.kernels.native.instruction_set import (
    AMX_FLAGS,
    AVX2_FLAGS,
    AVX512_FLAGS,
    AVX_VNNI_FLAGS,
    VNNI_FLAGS,
    InstructionSet,
    has,
)

SETS = {
    "avx2": (torch.cpu._is_avx2_supported, InstructionSet("avx2", AVX2_FLAGS)),
    "avx_vnni": (lambda: has("avx_vnni"), InstructionSet("avx_vnni", AVX2_FLAGS, AVX_VNNI_FLAGS)),
    "avx512": (torch.cpu._is_avx512_supported, InstructionSet("avx512", AVX512_FLAGS)),
    "avx512_vnni": (torch.cpu._is_vnni_supported, InstructionSet("avx512_vnni", VNNI_FLAGS)),
    "amx_int8": (torch.cpu._init_amx, InstructionSet("amx_int8", VNNI_FLAGS, AMX_FLAGS)),
}
"""The sets by name: whether the processor has one, and what it is. Those of VNNI and AMX matter to int8 alone.

Tiles have to be asked for before they are used.
"""


@pytest.fixture(params=["avx2", "avx512"])
def instructions(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[InstructionSet]:
    """Each set in turn: what is packed and run in the test is code for it, whatever torch uses."""
    is_supported, chosen = SETS[request.param]
    if why := compiler.why_unavailable():
        pytest.skip(why)
    if not is_supported():
        pytest.skip(f"this processor has no {chosen.name}")
    monkeypatch.setattr(compiler, "instruction_set", lambda: chosen)
    caches = compiler.library, stages.kernels
    for cached in caches:
        cached.cache_clear()
    yield chosen
    for cached in caches:
        cached.cache_clear()
