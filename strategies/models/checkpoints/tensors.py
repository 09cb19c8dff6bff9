"""The tensors of safetensors files: names, shapes and types are read from the headers, values only on request."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor

from ..config import ModelError
from ..message_text import first_line
from .regular_file import size_of

FLOATS = ("F32", "F64", "BF16", "F16")
"""The types of weights, as safetensors names them. Other types hold codes, which mean nothing without their scales."""
LFS_POINTER = b"version https://git-lfs"
AGAIN = "save the checkpoint again"
ROWS = 4096
"""Rows that are compared at a time, so that no whole tensor is held in a second type."""


@dataclass(frozen=True)
class Stored:
    """The file that holds a tensor, its shape, and its type as safetensors names it."""

    file: Path
    shape: tuple[int, ...]
    dtype: str


class StoredTensors:
    """All tensors of some files, by name. Raises ModelError for a file that is not a safetensors file."""

    def __init__(self, files: Iterable[Path]) -> None:
        self._stored: dict[str, Stored] = {}
        for file in files:
            for name, stored in self._headers(file):
                if name in self._stored:
                    raise ModelError(f"tensor {name} is both in {self._stored[name].file} and in {file}; {AGAIN}")
                self._stored[name] = stored

    @property
    def names(self) -> frozenset[str]:
        """The names of all tensors."""
        return frozenset(self._stored)

    def __getitem__(self, name: str) -> Stored:
        return self._stored[name]

    def _headers(self, file: Path) -> list[tuple[str, Stored]]:
        size = size_of(file, AGAIN)
        try:
            with file.open("rb") as opened:
                if opened.read(len(LFS_POINTER)) == LFS_POINTER:
                    raise ModelError(
                        f"{file} is a Git LFS pointer of {size} bytes, and not the weights; run `git lfs pull` in its "
                        "folder"
                    )
            with safe_open(file, framework="pt") as handle:
                slices = {name: handle.get_slice(name) for name in handle.keys()}
                return [(n, Stored(file, tuple(s.get_shape()), str(s.get_dtype()))) for n, s in slices.items()]
        except (SafetensorError, OSError) as error:
            raise ModelError(f"cannot read {file}: {first_line(error)}; {AGAIN}") from None

    def require_float(self, name: str) -> None:
        """Raise ModelError if the type of a tensor is not one of ``FLOATS``."""
        dtype = self._stored[name].dtype
        if dtype not in FLOATS:
            raise ModelError(
                f"tensor {name} is stored as {dtype}; weights are {', '.join(FLOATS)}: give the model before it was "
                "quantized or converted"
            )

    def require_shape(self, name: str, shape: tuple[int, ...], asks: str) -> None:
        """Raise ModelError if a tensor does not have the shape that ``asks``, such as config.json, asks for."""
        stored = self._stored[name].shape
        if stored != shape:
            raise ModelError(f"tensor {name} has shape {list(stored)}, {asks} asks for {list(shape)}")

    def read(self, name: str) -> Tensor:
        """The values of a tensor in their type, or in float32 if they are stored as float64.

        The file is opened for this tensor alone: while it is open, what was read of it counts as this process's memory.

        Raises ModelError if they cannot be read, or if float32, the type of models, cannot hold a float64 value.
        """
        self.require_float(name)
        file = self._stored[name].file
        try:
            with safe_open(file, framework="pt") as handle:
                values: Tensor = handle.get_tensor(name)
        except (SafetensorError, OSError, RuntimeError) as error:
            raise ModelError(f"cannot read {name} of {file}: {first_line(error)}; {AGAIN}") from None
        if values.dtype == torch.float64:
            narrowed = values.float()
            if bool((narrowed.isinf() & values.isfinite()).any()):
                raise ModelError(
                    f"tensor {name} holds {values[values.isfinite()].abs().max():.3g}, beyond float32's "
                    f"{torch.finfo(torch.float32).max:.3g}; the model is computed in float32: scale the weights"
                )
            return narrowed
        return values

    def equal(self, one: str, other: str) -> bool:
        """Whether two tensors hold the same values."""
        rows = self._stored[one].shape
        if rows != self._stored[other].shape:
            return False
        a, b = self.read(one).reshape(rows or (1,)), self.read(other).reshape(rows or (1,))
        starts = range(0, rows[0] if rows else 1, ROWS)
        pairs = ((a[i : i + ROWS], b[i : i + ROWS]) for i in starts)
        # NaN equals NaN here: damaged weights are reported elsewhere.
        return all(torch.allclose(x.float(), y.float(), rtol=0, atol=0, equal_nan=True) for x, y in pairs)
