"""Which of torch's attention kernels a piece of code uses, read from the operators that it runs.

>>> import torch
>>> q = torch.ones(1, 1, 2, 8)
>>> attention_kernels(lambda: torch.nn.functional.scaled_dot_product_attention(q, q, q))
{'flash'}
"""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager

import torch

from strategies import Mistake
from strategies.models.attention import SelfAttention
from strategies.models.kernels.native.program import ATTENTION as NATIVE

_KERNEL = re.compile(r"(?:aten::)?_scaled_dot_product_(flash|efficient|cudnn)_attention\w*|.*_(math)\w*")
CUDA_NO_KERNEL = "Invalid backend"
"""What CUDA says instead: torch stops there at a kernel of other devices in its list, before it gives its reasons."""
NO_KERNEL = "No available kernel", "No viable backend", CUDA_NO_KERNEL
"""Beginnings of what torch says where none of the kernels that it may choose can compute an attention."""
_CAN_USE = {
    "flash": torch.backends.cuda.can_use_flash_attention,
    "efficient": torch.backends.cuda.can_use_efficient_attention,
    "cudnn": torch.backends.cuda.can_use_cudnn_attention,
}


class NoKernelError(Mistake):
    """The attention kernel that was asked for cannot compute an attention of this case. The message says why."""

    status = "skipped"

    def __init__(self, kind: str, why: str) -> None:
        super().__init__(f"attention={kind} cannot be used here: {why}")


def attention_kernels(run: Callable[[], object], execution: str = "eager") -> set[str]:
    """Names of the attention kernels that ``run`` uses: "flash", "efficient", "cudnn", "math" or "native".

    They are read by torch's old profiler, which sees into code that is compiled or captured inside ``run``, too.
    Attention that is no single operator is "math". In compiled code the compiler has made loops of such attention; this
    is called "loop". With ``linear=panel``, attention is part of native code.
    """
    names = _profiled(run)
    matches = (_KERNEL.fullmatch(name) for name in names if "scaled_dot_product" in name)
    found = {match[1] or match[2] for match in matches if match}
    if NATIVE in names:
        found.add("native")
    return found or {"loop" if execution == "compiled" else "math"}


def _profiled(run: Callable[[], object]) -> set[str]:
    """Names of the operators, by torch's profiler from before Kineto.

    On a machine with a GPU, Kineto would attach NVIDIA's tracing library (CUPTI) to this process for the rest of its
    life. The arms timed here would run with it, and those of contenders, in processes of their own, without it.
    """
    legacy, private = torch._C._autograd, torch._C._profiler
    config = private.ProfilerConfig(  # without shapes, memory, stack, FLOPs or modules
        private.ProfilerState.CPU, False, False, False, False, False, private._ExperimentalConfig()
    )
    legacy._enable_profiler_legacy(config)
    try:
        run()
    finally:
        threads = legacy._disable_profiler_legacy()
    return {event.name() for events in threads for event in events}


@contextmanager
def kernel_errors(kind: str) -> Iterator[None]:
    """Raise NoKernelError, with torch's reasons, for its error that the kernel ``kind`` cannot compute an attention.

    torch gives the reasons as warnings before that error, or where it is asked whether the kernel can be used. With
    ``auto`` no kernel was asked for, and errors stay what they are.
    """
    if kind == "auto":
        yield
        return
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        except RuntimeError as error:
            if not any(text in str(error) for text in NO_KERNEL):
                raise
            if CUDA_NO_KERNEL in str(error):
                _ask_why(kind, error)
            raise NoKernelError(kind, reasons(str(warning.message) for warning in caught)) from None


def _ask_why(kind: str, error: BaseException) -> None:
    """Have torch warn of its reasons against the kernel ``kind``, for the attention in which ``error`` was raised.

    Its inputs are those of the model's frame in the traceback. Compiled code has none, and no reasons are given.
    """
    for frame, _ in traceback.walk_tb(error.__traceback__):
        if frame.f_code is SelfAttention._attend.__code__:
            values = frame.f_locals
            q = values.get("q_BGXK", values["q_BHTK"])
            params = torch.backends.cuda.SDPAParams(
                q, values["k_BGMK"], values["v_BGMK"], values["bias"], 0.0, False, False
            )
            _CAN_USE[kind](params, debug=True)


def reasons(texts: Iterable[str]) -> str:
    """Join torch's warnings about kernels to one line, without headings and kernels that were switched off.

    >>> reasons(["Flash attention kernel not used because: (Triggered internally at sdp.h:1.)",
    ...          "Flash Attention does not support non-null attn_mask. (Triggered internally at sdp.h:2.)",
    ...          "Memory efficient attention has been runtime disabled. (Triggered internally at sdp.h:3.)"])
    'Flash Attention does not support non-null attn_mask'
    """
    plain = (re.sub(r"\s*\(Triggered internally.*", "", text, flags=re.DOTALL).strip() for text in texts)
    told = [text.rstrip(".") for text in plain if not text.endswith("because:") and "runtime disabled" not in text]
    return "; ".join(dict.fromkeys(" ".join(text.split()) for text in told)) or "torch has no such kernel here"
