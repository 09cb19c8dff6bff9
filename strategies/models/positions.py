"""Positions in an encoder or a decoder: a table added to embeddings, or a bias added to attention scores.

Both depend on the weights alone, so a decoding session tabulates what it needs once, at set-up. ``DistanceTable`` holds
the score bias by distance together with the causal mask, and each step only looks them up.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from .config import ModelConfig


def sinusoids_ND(config: ModelConfig, length: int, device: torch.device | str = "cpu") -> Tensor:
    """Sine and cosine codes of the first N positions, float32 [N, D] (2017 paper, section 3.5).

    Column pair i has the rate 10000**(-2i/D), or with the exponent "i/(d/2-1)" 10000**(-i/(D/2 - 1)). The pairs are
    interleaved (sines in even columns), or all sines come first ("halves"). Positions begin at ``first_position``.
    """
    return sinusoids_at(config, torch.arange(length, device=device))


def sinusoids_at(config: ModelConfig, position_N: Tensor) -> Tensor:
    """The codes of these positions, counted from 0: int64 [N] -> float32 [N, D]."""
    pairs, device = config.d_model // 2, position_N.device
    position_N1 = (position_N + config.first_position).float()[:, None]
    steps = pairs if config.sinusoid_exponent == "2i/d" else max(1, pairs - 1)
    rate_I = torch.exp(torch.arange(pairs, dtype=torch.float32, device=device) * (-math.log(10000.0) / steps))
    sine_NI, cosine_NI = torch.sin(position_N1 * rate_I), torch.cos(position_N1 * rate_I)
    if config.sinusoid_order == "interleaved":
        return torch.stack((sine_NI, cosine_NI), -1).flatten(-2)
    return torch.cat((sine_NI, cosine_NI), -1)


class LearnedPositions(nn.Module):
    """A table of positions as weights, [first_position + most positions, D]: trained, or stored as it was."""

    def __init__(self, config: ModelConfig, most: int) -> None:
        super().__init__()
        self.first = config.first_position
        self.weight = nn.Parameter(torch.zeros(self.first + most, config.d_model))

    def forward(self, length: int) -> Tensor:
        """A view of the rows of the first N positions, [N, D]."""
        return self.weight[self.first : self.first + length]


def bucket_of_distance(distance: Tensor, buckets: int, max_distance: int, bidirectional: bool) -> Tensor:
    """T5's bucket of each distance (key position - query position), int64 of the same shape.

    Half the buckets are exact, the rest are spaced logarithmically up to ``max_distance`` (Raffel et al. 2020,
    section 2.1). A bidirectional encoder uses half of all buckets for keys after the query.
    """
    offset = torch.zeros_like(distance)
    if bidirectional:
        buckets //= 2
        offset = (distance > 0).long() * buckets
        back = distance.abs()
    else:
        back = (-distance).clamp(min=0)
    exact = buckets // 2
    far = (
        exact
        + (torch.log(back.clamp(min=1).float() / exact) / math.log(max_distance / exact) * (buckets - exact)).long()
    )
    return offset + torch.where(back < exact, back, far.clamp(max=buckets - 1))


ROW_MULTIPLE = 8
"""Elements of which a row's stride in a score bias must be a multiple on CUDA; else torch copies it at each call."""


def aligned_rows(bias: Tensor) -> Tensor:
    """The same values in dense rows, with other strides that are multiples of ``ROW_MULTIPLE``, on CUDA.

    torch copies a bias that is not laid out so whenever attention is called: in each layer. Here rows are padded once
    for all layers. Every row is padded, so that a compiled step needs no guard on whether its length is a multiple. The
    CPU's kernels take any strides, so there ``bias`` is returned unchanged.
    """
    if bias.device.type != "cuda":
        return bias
    if bias.stride(-1) == 1 and all(_known_multiple(stride) for stride in bias.stride()[:-1]):
        return bias
    length = bias.shape[-1]
    padded = (length // ROW_MULTIPLE + 1) * ROW_MULTIPLE
    return F.pad(bias, (0, padded - length)).narrow(-1, 0, length)


def _known_multiple(stride: int | torch.SymInt) -> bool:
    """Whether a stride is a multiple of ``ROW_MULTIPLE``; False in compiled code that must not depend on that."""
    if not torch.compiler.is_compiling():
        return stride % ROW_MULTIPLE == 0
    from torch.fx.experimental.symbolic_shapes import statically_known_true  # slow to import, and imported by now

    return statically_known_true(stride % ROW_MULTIPLE == 0)


class RelativeBias(nn.Module):
    """T5's learned score bias by distance: one weight per bucket and head, of a stack or of one layer (UMT5)."""

    def __init__(self, config: ModelConfig, bidirectional: bool) -> None:
        super().__init__()
        self.buckets = config.relative_buckets
        self.max_distance = config.relative_max_distance
        self.bidirectional = bidirectional
        self.weight = nn.Parameter(torch.zeros(self.buckets, config.num_heads))

    def forward(self, distance: Tensor) -> Tensor:
        """Bias of each distance (key - query): [...] -> [H, ...]."""
        bucket = bucket_of_distance(distance, self.buckets, self.max_distance, self.bidirectional)
        return self.weight.t()[:, bucket].contiguous()

    def square_HSS(self, length: int) -> Tensor:
        """Bias of every pair of S positions, [H, S (query), S (key)], contiguous.

        Each of the 2 S - 1 distances is looked up once; the row of a query is a window of the result.
        """
        by_distance_HX = self(torch.arange(1 - length, length, device=self.weight.device))
        return by_distance_HX.unfold(1, length, 1).flip(1).contiguous()


class DistanceTable:
    """Score bias and causal mask of a decoder by distance: one look-up per step serves every layer and every store.

    ``bias_HX[:, query - key + origin]`` is the relative bias of the pair, or the dtype's minimum where the key lies
    after the query. ``relative`` says whether the table holds more than the mask; where it does not, H is 1.
    """

    def __init__(
        self, relative: RelativeBias | None, queries: int, keys: int, dtype: torch.dtype, device: torch.device
    ):
        self.origin = keys - 1
        self.relative = relative is not None
        distance_X = torch.arange(self.origin, -queries, -1, device=device)
        past_X = distance_X <= 0
        if relative is None:
            bias_HX = torch.zeros(1, len(distance_X), dtype=dtype, device=device)
        else:
            bias_HX = relative(distance_X).to(dtype)
        self.bias_HX = torch.where(past_X, bias_HX, torch.finfo(dtype).min)

    def __call__(self, query_position_T: Tensor, key_position_M: Tensor) -> Tensor:
        """The additive score bias of these queries and keys: [T], [M] -> [1, H, T, M]."""
        index_TM = query_position_T[:, None] - (key_position_M - self.origin)
        return aligned_rows(self.bias_HX[:, index_TM][None])
