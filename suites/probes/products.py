"""Recorder of every matrix product of a running model, with the module that asked for it, and of every tensor copy.

The recorder takes any ``nn.Module``. It gives each product the path of the innermost module that is running, and
splits ``scaled_dot_product_attention`` into its two batched products. A convolution is one product: each of its rows
holds the inputs under the kernel at one place. The recorder's hooks exist only while it records.

>>> import torch
>>> model = torch.nn.Sequential(torch.nn.Linear(3, 5))
>>> from suites.probes.recording import tally
>>> with torch.no_grad(), record(model) as recording:
...     out = model(torch.zeros(2, 3))
>>> tally(recording.products)
[Product(role='0', batch=1, rows=2, inner=3, cols=5, count=1)]
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from strategies.models.costs import Product

from .dispatch import OperatorMode, ProbeError
from .module_calls import Frame, module_calls
from .recording import CopyRecord, ProductRecord, Recording, RowsRecord
from .stored_rows import StoreCall


@contextmanager
def record(model: nn.Module) -> Iterator[Recording]:
    """Record the matrix products and copies of what runs inside the ``with`` block.

    Use it under ``torch.no_grad`` or ``torch.inference_mode``, never in a timed round. Compiled code is not seen. The
    hooks on ``model`` are removed at the exit, also after an error.

    Raises ProbeError at an operator whose products it cannot see: a packed or quantised kernel, a grouped or transposed
    convolution, a backward pass, or a fused layer (for torch's own ``MultiheadAttention`` call
    ``torch.backends.mha.set_fastpath_enabled(False)``).
    """
    with module_calls(model) as frames:
        recorder = _Recorder(model, frames)
        with OperatorMode(recorder.saw):
            yield recorder.recording


_aten = torch.ops.aten
# Operator -> position of its first factor.
_PLAIN = {_aten.mm: 0, _aten.addmm: 1, _aten._addmm_activation: 1, _aten.mv: 0}
_BATCHED = {_aten.bmm: 0, _aten.baddbmm: 1}
_SOFTMAX = {_aten._softmax, _aten._safe_softmax}
# The attention kernel of any backend. Its first arguments are query [B, H, T, K], key and value [B, H, M, K].
_ATTENTION = re.compile(r"_scaled_dot_product_\w+(?<!_backward)")
# Operator -> position of the argument that is as large as what the operator writes; None: as large as its result.
_COPIES: dict[Any, int | None] = dict.fromkeys(
    (_aten.cat, _aten.stack, _aten.clone, _aten.index, _aten.index_select, _aten.gather)
)
_COPIES |= {_aten.copy_: 0, _aten.index_copy: 3, _aten.index_copy_: 3, _aten.slice_scatter: 1, _aten.index_put_: 2}
# Names of other operators that hold a product, and namespaces whose operators hold none.
_CLOSED = re.compile(r"(^|_)(\w*mm|\w*mv|v?dot|linear|matmul|conv\w*|attention|lstm|gru|rnn|encoder)(_|$)")
_KNOWN_NAMESPACES = {"aten", "prim", "prims", "profiler"}


class _Recorder:
    def __init__(self, model: nn.Module, frames: list[Frame]) -> None:
        self.recording = Recording()
        self._frames = frames
        self._weights = {parameter.untyped_storage()._cdata for parameter in model.parameters()}

    def saw(self, func: Any, args: Sequence[Any], out: Any) -> None:
        operator = func.overloadpacket
        namespace, _, name = func._schema.name.partition("::")
        if self._frames[-1].given is not None:
            self._store_call(func, args, out)
        if operator in _PLAIN:
            left, right = args[_PLAIN[operator] :][:2]
            self._plain(left, right, out)
        elif operator in _BATCHED:
            left, right = args[_BATCHED[operator] :][:2]
            self._batched(left, right, out)
        elif operator in _SOFTMAX:
            self._softmax()
        elif _ATTENTION.fullmatch(name):
            q_BHTK, k_BHMK, v_BHMK = args[:3]
            self._attention(q_BHTK, k_BHMK, v_BHMK, out[0])
        elif operator is _aten.convolution and _is_one_product(args):
            self._convolution(args[0], args[1], out)
        elif operator in _COPIES:
            self._copy(name, _written(operator, args, out))
        elif namespace not in _KNOWN_NAMESPACES or _CLOSED.search(name):
            raise ProbeError(
                f"cannot open {namespace}::{name}, called in {self._frames[-1].role}, into its matrix products; "
                "record plain torch linears, convolutions in one group and attention, forward only"
            )

    def _store_call(self, func: Any, args: Sequence[Any], out: Any) -> None:
        frame = self._frames[-1]
        call = frame.marks.setdefault("store", StoreCall(frame.given or ()))
        operator = func.overloadpacket
        if operator in _COPIES:
            rows = call.copies(operator, args, _written(operator, args, out), out)
        else:
            rows = call.computes(func, args, out)
        if any(rows):
            self.recording.rows.append(RowsRecord(frame.role, rows))

    def _add(self, shape: Sequence[int], first: int, operand: Tensor, output: int, suffix: str = "") -> None:
        frame = self._frames[-1]
        product = Product(frame.role + suffix, *shape)
        self.recording.products.append(
            ProductRecord(product, frame.path, first, _nbytes(operand), output, operand.data_ptr())
        )

    def _plain(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        if right.dim() == 1:
            # mv counts as one row times the transposed matrix.
            cols, inner = left.shape
            self._add((1, 1, inner, cols), right.nbytes, left, out.nbytes)
        else:
            self._add((1, *left.shape, right.shape[1]), left.nbytes, right, out.nbytes)

    def _batched(self, left: Tensor, right: Tensor, out: Tensor) -> None:
        batch, rows, inner = left.shape
        cols = right.shape[2]
        if right.untyped_storage()._cdata in self._weights and right.stride(0) == 0:
            # This is a linear layer whose input cannot be flattened: its one weight is expanded over the batch.
            self._add((1, batch * rows, inner, cols), left.nbytes, right, out.nbytes)
            return
        # In an attention that is not fused, the softmax between scores and context tells them apart. The softmax may be
        # a module of its own, so products wait for it under "before" in the marks of their frame.
        marks = self._frames[-1].marks
        if marks.pop("softmaxed", False):
            suffix = ".context"
        else:
            marks.setdefault("before", []).append(len(self.recording.products))
            suffix = ""
        self._add((batch, rows, inner, cols), left.nbytes, right, out.nbytes, suffix)

    def _softmax(self) -> None:
        for frame in reversed(self._frames):
            if before := frame.marks.pop("before", []):
                frame.marks["softmaxed"] = True
                break
        products = self.recording.products
        for index in before:
            product = products[index].product
            products[index] = replace(products[index], product=replace(product, role=f"{product.role}.scores"))

    def _attention(self, q_BHTK: Tensor, k_BHMK: Tensor, v_BHMK: Tensor, out_BHTK: Tensor) -> None:
        (*batch, rows, size), keys = q_BHTK.shape, k_BHMK.shape[-2]
        heads = math.prod(batch)
        self._add((heads, rows, size, keys), q_BHTK.nbytes, k_BHMK, 0, ".scores")
        self._add((heads, rows, keys, v_BHMK.shape[-1]), 0, v_BHMK, out_BHTK.nbytes, ".context")

    def _convolution(self, inputs: Tensor, weight: Tensor, out: Tensor) -> None:
        cols, inner = weight.shape[0], weight[0].numel()
        self._add((1, out.numel() // cols, inner, cols), inputs.nbytes, weight, out.nbytes)

    def _copy(self, name: str, written: Tensor) -> None:
        frame = self._frames[-1]
        copy = CopyRecord(frame.role, frame.path, name, tuple(written.shape), written.nbytes)
        self.recording.copies.append(copy)


def _is_one_product(args: Sequence[Any]) -> bool:
    """Whether a call of ``convolution`` multiplies rows by its whole weight: it has one group and is not transposed."""
    transposed, groups = args[6], args[8]
    return not transposed and groups == 1


def _written(operator: Any, args: Sequence[Any], out: Any) -> Tensor:
    """What a copying operator writes: its result, or the argument that is as large."""
    at = _COPIES[operator]
    written: Tensor = out if at is None else args[at]
    return written


def _nbytes(operand: Tensor) -> int:
    """Bytes of a tensor's distinct elements: along a dimension of stride 0 one element is repeated."""
    sizes = zip(operand.shape, operand.stride(), strict=True)
    return math.prod(size for size, stride in sizes if stride or size == 0) * operand.element_size()
