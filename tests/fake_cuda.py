"""CUDA without a device: torch's fake tensors have a device, a type, a shape and strides, and no values."""

from __future__ import annotations

import copy
import ctypes
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.nn.attention import SDPBackend, sdpa_kernel

from strategies.models.encoder_decoder import EncoderDecoder

CUDA, META = (int(getattr(torch._C._autograd.DeviceType, name)) for name in ("CUDA", "Meta"))
GUARDS = "_ZN3c104impl26device_guard_impl_registryE"
"""Symbol of torch's table of device guards, which choose the current device around an operator; one per device type."""


@contextmanager
def device_guard() -> Iterator[None]:
    """Give a torch built without CUDA the guard of the device `meta`, which does nothing, for CUDA.

    A torch built with CUDA brings such a guard for fake tensors. Without one, indexing a tensor on "cuda" is refused.
    """
    try:
        library = ctypes.CDLL(str(Path(torch.__file__).parent / "lib" / "libc10.so"))
        guards = (ctypes.c_void_p * (max(CUDA, META) + 1)).in_dll(library, GUARDS)
    except (OSError, ValueError) as error:
        pytest.skip(f"this build of torch keeps its device guards elsewhere: {error}")
    before = guards[CUDA]
    guards[CUDA] = before or guards[META]
    try:
        yield
    finally:
        guards[CUDA] = before


@contextmanager
def fake_cuda(model: EncoderDecoder) -> Iterator[EncoderDecoder]:
    """A copy of the model with weights on "cuda", within a mode in which every tensor that is made is a fake one.

    Attention is the one of torch's operators (``MATH``): which fused kernel there is, only a device can tell.
    """
    moved = copy.deepcopy(model)
    with device_guard(), FakeTensorMode(), sdpa_kernel(SDPBackend.MATH):
        new: dict[nn.Parameter, nn.Parameter] = {}  # a tied head keeps its one weight
        for module in moved.modules():
            for name, weight in module._parameters.items():
                if weight is not None:
                    if weight not in new:
                        empty = torch.empty(weight.shape, dtype=weight.dtype, device="cuda")
                        new[weight] = nn.Parameter(empty, requires_grad=False)
                    module._parameters[name] = new[weight]
        yield moved
