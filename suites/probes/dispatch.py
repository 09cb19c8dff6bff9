"""Basis of the probes that watch operators: a dispatch mode that shows every operator as the kernels get it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from torch.utils._python_dispatch import TorchDispatchMode

from strategies import Mistake

Saw = Callable[[Any, Sequence[Any], Any], None]


class ProbeError(Mistake):
    """Something that a probe cannot measure.

    The message is one line: what is wrong, the value, what is allowed, what to do.
    """


class OperatorMode(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Calls ``saw(operator, arguments, result)`` after every operator that runs inside the ``with`` block.

    Composite operators, such as ``linear``, ``matmul`` and ``scaled_dot_product_attention``, are taken apart first.
    They reach a dispatch mode whole under ``torch.inference_mode``, but already in parts under ``torch.no_grad``; here
    both look alike. Nothing inside a kernel is seen, and nothing inside compiled code.
    """

    def __init__(self, saw: Saw) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._saw = saw
        self._whole: set[Any] = set()

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """Tell torch not to import its compiler, which takes over a second, only to keep it out of eager code."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        """Run the operator, or the operators that it is composed of, and pass what ran to ``saw``."""
        kwargs = kwargs or {}
        if func not in self._whole:
            with self:
                out = func.decompose(*args, **kwargs)
            if out is not NotImplemented:
                return out
            self._whole.add(func)
        out = func(*args, **kwargs)
        self._saw(func, (*args, *kwargs.values()), out)
        return out
