"""Stages of a decode step, which ``stages.cpp`` runs one after the other in one parallel region.

A stage is a product with a weight in panels, with what comes before it (a norm of its rows) and after it (bias,
activation, residual sum), or attention. Tensors that change from call to call are slots.
"""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn

from ...architectures import Activation
from ...layers import RMSNorm
from .compiler import library
from .panels import Panels

SOURCE = Path(__file__).with_name("stages.cpp")
ACTIVATIONS: dict[Activation | None, int] = {None: 0, "relu": 1, "gelu": 2, "gelu_new": 3, "silu": 4}
SIZES = 13
"""Numbers that the sizes of an attention take: B, W, M, then strides of K, of V and of the bias."""

_i64, _pointer = ctypes.c_int64, ctypes.c_void_p


class Stage(ctypes.Structure):
    """The struct ``Stage`` of stages.cpp, field by field."""

    _fields_ = (
        ("is_attention", _i64), ("waits", _i64),
        ("x", _i64), ("ldx", _i64), ("K", _i64), ("N", _i64), ("y", _i64), ("ldy", _i64), ("first", _i64),
        ("weight", _pointer), ("bias", _pointer), ("norm_weight", _pointer), ("norm_bias", _pointer),
        ("eps", ctypes.c_float), ("centres", ctypes.c_int32), ("normed", _i64),
        ("residual", _i64), ("ld_residual", _i64), ("activation", _i64), ("multiplies", _i64),
        ("q", _i64), ("ldq", _i64), ("k", _i64), ("v", _i64), ("attention_bias", _i64), ("out", _i64), ("sizes", _i64),
        ("kv_heads", _i64), ("group", _i64), ("size", _i64), ("scale", ctypes.c_float), ("is_int8", ctypes.c_int32),
        ("row", _i64),
    )  # fmt: skip


@functools.cache
def kernels() -> ctypes.CDLL:
    """The compiled library, with the types of its functions. Raises CompileError."""
    found = library(SOURCE)
    found.run_stages.argtypes = (_pointer, _i64, _pointer, _pointer, _i64, _i64)
    found.run_stages.restype = None
    found.pack_panels.argtypes = (_pointer, _i64, _i64, _pointer)
    found.pack_panels.restype = None
    found.pack_int8_panels.argtypes = (_pointer, _pointer, _i64, _i64, _pointer)
    found.pack_int8_panels.restype = None
    found.uses_tiles.argtypes = (_i64, _i64)
    found.uses_tiles.restype = _i64
    found.gather_panels.argtypes = (_pointer, _i64, _i64, _pointer, _i64, _pointer)
    found.gather_panels.restype = _i64
    return found


@dataclass(frozen=True)
class Rows:
    """A slot that holds rows of floats: its number, and the floats from one row to the next."""

    slot: int
    width: int


class Stages:
    """A list of stages. Each method adds one, which waits for what the stages before it made."""

    def __init__(self) -> None:
        self._stages: list[Stage] = []
        self._kept: list[Tensor | None] = []
        self._attentions, self._heads = 0, (0, 0, 0)
        self._made: ctypes.Array[Stage] | None = None

    def product(
        self,
        x: Rows,
        panels: Panels,
        y: Rows,
        *,
        first: int = 0,
        norm: nn.Module | None = None,
        normed: int = -1,
        activation: Activation | None = None,
        multiplies: bool = False,
        residual: Rows | None = None,
        waits: bool = True,
    ) -> None:
        """Add y = activation(norm(x) w^T + bias), times what y holds if it ``multiplies``, plus the residual.

        It is written to the columns of y from ``first`` on. The normed rows are written to the slot ``normed`` too,
        unless it is -1. A product that does not wait has the rows and the norm of the product before it.
        """
        stage = Stage(waits=waits, x=x.slot, ldx=x.width, K=panels.inner, N=panels.outputs, y=y.slot, ldy=y.width)
        stage.first, stage.is_int8 = first, panels.int8
        stage.weight, stage.bias = self._address(panels.packed), self._address(panels.bias)
        stage.normed, stage.activation, stage.multiplies = normed, ACTIVATIONS[activation], multiplies
        stage.residual, stage.ld_residual = (residual.slot, residual.width) if residual else (-1, 0)
        if norm is not None:
            self._normed(stage, norm)
        self._stages.append(stage)

    def norm(self, x: Rows, norm: nn.Module, normed: int) -> None:
        """Add a norm of rows x, [X, D], which is written to the slot ``normed``."""
        stage = Stage(waits=True, x=x.slot, ldx=x.width, K=x.width, residual=-1, normed=normed)
        self._normed(stage, norm)
        self._stages.append(stage)

    def attention(
        self,
        q: Rows,
        k: int,
        v: int,
        bias: int,
        out: int,
        kv_heads: int,
        group: int,
        size: int,
        scale: float,
        row: int = -1,
    ) -> None:
        """Add attention; a run is given its ``attention_sizes``, and tells positions per sequence by its rows.

        With a slot ``row`` the K and V that lie behind the queries, in their rows, are written there first.
        """
        stage = Stage(is_attention=1, waits=bool(self._stages), q=q.slot, ldq=q.width, k=k, v=v, attention_bias=bias)
        stage.out, stage.sizes = out, self._attentions * SIZES
        stage.kv_heads, stage.group, stage.size, stage.scale, stage.row = kv_heads, group, size, scale, row
        self._attentions, self._heads = self._attentions + 1, (kv_heads, group, size)
        self._stages.append(stage)

    def attention_sizes(
        self, rows: int, k: Tensor, v: Tensor, bias: Tensor | None, keys: int | None = None
    ) -> list[int]:
        """The sizes of an attention in a run of X=``rows`` rows on K and V [B, G, C, K], M = ``keys`` (None: C) of C.

        ``bias`` broadcasts to [B, G, W * H / G, M]. Raises RuntimeError, as torch's attention does, for tensors that do
        not fit: the native code would read beyond them.
        """
        kv_heads, _, size = self._heads
        batch, keys = k.shape[0], k.shape[2] if keys is None else keys
        expected = batch, kv_heads, k.shape[2], size
        if k.shape != expected or v.shape != expected or keys > k.shape[2] or rows % batch:
            shapes = f"K {list(k.shape)} and V {list(v.shape)}"
            raise RuntimeError(f"{shapes} for {rows} rows; a store must give [B, {kv_heads}, M, {size}] for both")
        if any(tensor is not None and tensor.dtype != torch.float32 for tensor in (k, v, bias)):
            types = f"K {k.dtype}, V {v.dtype}, bias {None if bias is None else bias.dtype}"
            raise RuntimeError(f"{types}; linear=panel takes torch.float32 for each; give linear=torch")
        beams = rows // batch
        strides = k.stride()[:3] + v.stride()[:3]
        return [batch, beams, keys, *strides, *self.bias_strides(batch, beams, keys, bias)]

    def bias_strides(self, batch: int, beams: int, keys: int, bias: Tensor | None) -> tuple[int, ...]:
        """The last four sizes of an attention: strides of its bias, 0 where it is the same for all.

        Raises RuntimeError for a bias that does not broadcast to [B, G, W * H / G, M], or is of another type.
        """
        if bias is None:
            return 0, 0, 0, 0
        if bias.dtype != torch.float32:
            raise RuntimeError(f"a bias of {bias.dtype}; linear=panel takes torch.float32; give linear=torch")
        kv_heads, group, _ = self._heads
        return bias.expand(batch, kv_heads, beams * group, keys).stride()

    def run(self, slots: Sequence[int], sizes: Sequence[int], rows: int) -> None:
        """Run the stages on ``rows`` rows. ``slots`` are addresses, 0 for a bias that there is none of."""
        if self._made is None:
            self._made = (Stage * len(self._stages))(*self._stages)
        kernels().run_stages(
            self._made,
            len(self._made),
            (_pointer * len(slots))(*slots),
            (_i64 * len(sizes))(*sizes),
            rows,
            torch.get_num_threads(),
        )

    def _normed(self, stage: Stage, norm: nn.Module) -> None:
        assert isinstance(norm, RMSNorm | nn.LayerNorm)
        stage.norm_weight, stage.eps = self._address(norm.weight.detach()), norm.eps
        if isinstance(norm, nn.LayerNorm):
            stage.norm_bias, stage.centres = self._address(norm.bias.detach()), 1

    def _address(self, tensor: Tensor | None) -> int | None:
        self._kept.append(tensor)
        return None if tensor is None else tensor.data_ptr()
