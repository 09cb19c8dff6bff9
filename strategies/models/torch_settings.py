"""Settings of torch for a whole process: which attention kernels it may choose, and how CUDA multiplies.

torch reads them when an operator runs, when a step is compiled, and when it is captured. Attention
(``scaled_dot_product_attention``) has these kernels:

| kernel | on CUDA | on the CPU |
|---|---|---|
| flash | bf16 and fp16, without a bias or mask (Dao 2023, arXiv 2307.08691) | every type, and a bias |
| efficient | every type; a bias whose strides are multiples of 8 (Rabe and Staats 2021, arXiv 2112.05682) | none |
| cudnn | bf16 and fp16; plans anew for each shape | none |
| math | separate operators, every type and shape | the same |

``auto`` leaves the choice to torch, but on CUDA without cuDNN's kernel: torch would prefer it for bf16 on an H100, and
every step of a growing cache has a new shape, for which it plans for 0.06 to 0.9 s.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache

import torch

ATTENTION = ("auto", "flash", "efficient", "cudnn", "math")


@contextmanager
def kept() -> Iterator[None]:
    """Restore, after the ``with`` block, the attention kernels and TensorFloat-32 as they were set before it."""
    before, tf32 = [enabled() for enabled, _ in _SWITCHES.values()], torch.backends.cuda.matmul.allow_tf32
    try:
        yield
    finally:
        for (_, enable), was in zip(_SWITCHES.values(), before, strict=True):
            enable(was)
        use_tf32(tf32)


@contextmanager
def any_attention(device: str) -> Iterator[None]:
    """Let torch choose, as with ``auto``, inside the ``with`` block, whatever was allowed before it."""
    with kept():
        allow_attention("auto", device)
        yield


def use_tf32(on: bool) -> None:
    """Have CUDA round the inputs of float32 products to TensorFloat-32 (10 bits of mantissa), or not, from now on."""
    torch.backends.cuda.matmul.allow_tf32 = on


@cache
def set_defaults() -> None:
    """Set what holds on CUDA where nothing else is asked for; only the first call in a process does anything.

    cuDNN's attention is off, TensorFloat-32 is off, and sums of bf16 and fp16 products are kept in float32. cuBLAS may
    otherwise add up parts of a product in the narrow type, and it decides so by the number of rows, so that one row
    alone would give other logits than the same row among k.
    """
    allow_attention("auto", "cuda")
    use_tf32(False)
    torch.backends.cuda.matmul.allow_bf16_reduced_precision_reduction = False
    torch.backends.cuda.matmul.allow_fp16_reduced_precision_reduction = False


def compiled_in() -> tuple[object, ...]:
    """The settings that code compiled now has compiled in, so that it may serve only where they are the same."""
    return *enabled_attention(), torch.backends.cuda.matmul.allow_tf32


def enabled_attention() -> list[str]:
    """The attention kernels that torch may choose in this process now, in the order of ``ATTENTION``."""
    return [name for name, (enabled, _) in _SWITCHES.items() if enabled()]


def allowed_attention(kind: str, device: str) -> list[str]:
    """The kernels that ``allow_attention`` allows.

    >>> allowed_attention("auto", "cuda"), allowed_attention("math", "cuda")
    (['flash', 'efficient', 'math'], ['math'])
    """
    if kind != "auto":
        return [kind]
    return [name for name in ATTENTION[1:] if name != "cudnn" or device != "cuda"]


def allow_attention(kind: str, device: str) -> None:
    """From now on, let torch choose only from ``allowed_attention(kind, device)``.

    Where that kernel cannot compute an attention, torch raises RuntimeError when it gets there; it takes no other.
    """
    allowed = allowed_attention(kind, device)
    for name, (_, enable) in _SWITCHES.items():
        enable(name in allowed)


_SWITCHES: dict[str, tuple[Callable[[], bool], Callable[[bool], None]]] = {
    "flash": (torch.backends.cuda.flash_sdp_enabled, torch.backends.cuda.enable_flash_sdp),
    "efficient": (torch.backends.cuda.mem_efficient_sdp_enabled, torch.backends.cuda.enable_mem_efficient_sdp),
    "cudnn": (torch.backends.cuda.cudnn_sdp_enabled, torch.backends.cuda.enable_cudnn_sdp),
    "math": (torch.backends.cuda.math_sdp_enabled, torch.backends.cuda.enable_math_sdp),
}
"""Of each kernel: the functions that tell whether torch may choose it, and that let it."""
