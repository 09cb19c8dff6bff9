"""What one call of a store does with rows of K and V: which it takes, which it copies, and which it expands to be read.

The recorder of products shows each operator of the call to a ``StoreCall``, which follows where the data comes from:

- *new*: the arguments of the call, and whatever is computed from them;
- *stored*: tensors from before the call, and what a copying operator has written in it;
- *made*: what is computed from stored tensors, such as codes that are unpacked.

A copying operator takes new rows, or copies stored ones. What is made is for this call alone, as activations are, and
copying it counts nothing. An operator that turns stored or unpacked integers into floating point, or one type of
floating point into another, expands rows: it writes its result, and has read the stored tensors that lead to it. Each
of these is read once per call, however many operators read it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

import torch
from torch import Tensor

Origin = Literal["new", "stored", "made"]
_aten = torch.ops.aten
# Copying operator -> position of the argument that it reads.
_READ = dict.fromkeys((_aten.cat, _aten.stack, _aten.clone, _aten.index, _aten.index_select, _aten.gather), 0)
_READ |= {_aten.copy_: 1, _aten.index_copy: 3, _aten.index_copy_: 3, _aten.slice_scatter: 1, _aten.index_put_: 2}
# Operators that take of a tensor its size and type alone.
_EMPTY = re.compile(r"(new_)?(empty|zeros|ones|full|arange|scalar_tensor)(_like|_strided|_permuted)?")


class Rows(NamedTuple):
    """Bytes of rows that one operator read and wrote, by what it did."""

    new: int = 0
    copied: int = 0
    expanded_read: int = 0
    expanded_written: int = 0


@dataclass(frozen=True)
class _View:
    """A part of a storage, told apart from other parts of it."""

    storage: int
    offset: int
    shape: tuple[int, ...]
    nbytes: int

    @classmethod
    def of(cls, tensor: Tensor) -> _View:
        return cls(_storage(tensor), int(tensor.storage_offset()), tuple(tensor.shape), tensor.nbytes)


@dataclass
class _Data:
    """Where the data of a storage comes from. If it is made: the stored views that it was made of, and how.

    ``is_expanded`` says whether it is the result of expanding.
    """

    origin: Origin
    views: frozenset[_View] = frozenset()
    is_expanded: bool = False


@dataclass
class StoreCall:
    """Follows the operators of one call of a store. ``given`` are the arguments of the call."""

    given: Sequence[Any]
    _data: dict[int, _Data] = field(default_factory=dict)
    _read: set[_View] = field(default_factory=set)

    def __post_init__(self) -> None:
        for tensor in _tensors(self.given):
            self._data[_storage(tensor)] = _Data("new")

    def copies(self, operator: Any, args: Sequence[Any], written: Tensor, out: Tensor) -> Rows:
        """Take note of a copying operator, which wrote ``written``, all or a part of its result."""
        sources = list(_tensors([args[_READ[operator]]]))
        found = Rows()
        for source in sources:
            nbytes = source.nbytes if len(sources) > 1 else written.nbytes
            data = self._of(source)
            if data.origin == "new":
                found = found._replace(new=found.new + nbytes)
            elif data.origin == "stored" and _expands([source], written):
                return self._expand([_View.of(source)], written, out)
            elif data.origin == "stored":
                found = found._replace(copied=found.copied + nbytes)
        datas = [self._of(source) for source in sources]
        is_made = bool(datas) and all(data.origin == "made" for data in datas)
        self._data[_storage(out)] = _joined(datas) if is_made else _Data("stored")
        return found

    def computes(self, func: Any, args: Sequence[Any], out: Any) -> Rows:
        """Take note of an operator that does not copy."""
        results = list(_tensors([out]))
        written = {_storage(result) for result in results}
        shares = any(_storage(tensor) in written for tensor in _tensors(args))
        if not results or (shares and not func._schema.is_mutable):  # a view
            return Rows()
        into = shares and not any(argument.is_out for argument in func._schema.arguments)
        if into and any(self._of(result).origin == "stored" for result in results):
            return Rows()
        sources = [] if _EMPTY.fullmatch(func._schema.name.split("::")[1]) else list(_tensors(args))
        sources = [tensor for tensor in sources if into or _storage(tensor) not in written]
        made = _joined(self._of(source) for source in sources)
        read = {_View.of(source) for source in sources if self._of(source).origin == "stored"}
        for key in written:
            self._data[key] = made if made.origin == "new" else _Data("made", made.views | read, made.is_expanded)
        if made.origin == "new" or not (made.is_expanded or _expands(sources, results[0])):
            return Rows()
        return self._expand(made.views | read, None if made.is_expanded else results[0], results[0])

    def _expand(self, read: Iterable[_View], written: Tensor | None, out: Tensor) -> Rows:
        again = set(read) - self._read
        self._read |= again
        self._data[_storage(out)] = _Data("made", is_expanded=True)
        return Rows(0, 0, sum(view.nbytes for view in again), written.nbytes if written is not None else 0)

    def _of(self, tensor: Tensor) -> _Data:
        return self._data.get(_storage(tensor), _Data("stored"))


def _joined(datas: Iterable[_Data]) -> _Data:
    datas = list(datas)
    if any(data.origin == "new" for data in datas):
        return _Data("new")
    views = frozenset(view for data in datas for view in data.views)
    return _Data("made", views, any(data.is_expanded for data in datas))


def _expands(sources: Sequence[Tensor], result: Tensor) -> bool:
    if not result.is_floating_point():
        return False
    return any(source.dtype != result.dtype and source.dtype != torch.bool for source in sources)


def _storage(tensor: Tensor) -> int:
    return tensor.untyped_storage()._cdata


def _tensors(values: Iterable[Any]) -> Iterable[Tensor]:
    for value in values:
        if isinstance(value, Tensor):
            yield value
        elif isinstance(value, list | tuple):
            yield from _tensors(value)
