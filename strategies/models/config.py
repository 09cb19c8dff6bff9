"""The sizes and the architecture of one encoder-decoder Transformer, as plain data.

Dimension key, used by every tensor name of this package (``q_BHTK`` is a tensor of shape [B, H, T, K]):

    B batch            S source length      T decoder rows computed in this call
    M attended keys    N target length      C capacity of a preallocated cache
    D model width      H query heads        G key/value heads
    K head size (d)    F feed-forward       V vocabulary         L layers
    W beams            X decoder rows of the batch, B * W, the W rows of a sentence side by side

G is H unless the model has fewer (``num_kv_heads``); query head h then reads key/value head h // (H / G).
"""

from __future__ import annotations

import reprlib
from dataclasses import dataclass, fields
from typing import Any, Literal

from .message_text import plain
from .mistake import Mistake

Architecture = Literal["t5", "transformer2017"]
MAX_SIZE = 2**31 - 1
"""The largest size or id; larger ones overflow 32-bit indices."""
MAX_LAYERS = 10_000
"""The most layers of a stack: layers are Python objects, whose memory and time no formula of weights counts."""
SHOWN = 256
"""The largest divisor that a message names, beside the number itself."""


class ModelError(Mistake):
    """A model cannot be built or loaded. The message is one line: what, value, allowed, remedy."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a model's shapes and arithmetic, except its weights.

    ``architecture`` sets what two papers settled differently:

    - ``transformer2017`` (Vaswani et al. 2017, arXiv 1706.03762): sinusoidal positions, layer norm after each
      residual sum, biases, ReLU, scores scaled by K**-0.5, embeddings scaled by D**0.5.
    - ``t5`` (Raffel et al. 2020, arXiv 1910.10683): RMS norm before each block and at the end, no biases, no score
      scaling, bucketed relative position bias shared over layers; with ``scale_head``, hidden states are scaled by
      D**-0.5 before the head (T5 v1.0, tied; not v1.1).

    ``num_kv_heads`` sets how many heads K and V have, in every attention of the model: as many as there are query heads
    (None, multi-head), one (multi-query; Shazeer 2019, arXiv 1911.02150, section 3), or a divisor in between
    (grouped-query; Ainslie et al. 2023, arXiv 2305.13245). It changes the model's output.

    ``other_eos_ids`` end a sentence as ``eos_id`` does, where a checkpoint has several.
    """

    vocab_size: int
    d_model: int
    num_heads: int
    d_kv: int
    d_ff: int
    encoder_layers: int
    decoder_layers: int
    architecture: Architecture = "t5"
    gated: bool = False
    tie_head: bool = True
    scale_head: bool = True
    relative_buckets: int = 32
    relative_max_distance: int = 128
    norm_eps: float = 1e-6
    pad_id: int = 0
    eos_id: int = 1
    start_id: int = 0
    dropout: float = 0.0
    num_kv_heads: int | None = None
    other_eos_ids: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        for entry in fields(self):
            if entry.name != "num_kv_heads":
                check_field(entry.name, getattr(self, entry.name))
        if self.num_kv_heads is not None and (
            type(self.num_kv_heads) is not int or self.num_kv_heads < 1 or self.num_heads % self.num_kv_heads
        ):
            known = [n for n in range(1, min(self.num_heads, SHOWN) + 1) if self.num_heads % n == 0]
            divisors = ", ".join(map(str, dict.fromkeys([*known, self.num_heads])))
            raise ModelError(
                f"num_kv_heads={self.num_kv_heads!r} does not divide num_heads={self.num_heads}; give one of {divisors}"
            )
        if self.gated and self.architecture != "t5":
            raise ModelError("gated=true needs architecture=t5; the 2017 architecture has a plain ReLU feed-forward")
        if self.architecture == "transformer2017" and self.d_model % 2:
            raise ModelError(f"d_model={self.d_model} must be even: sinusoidal positions come in sine and cosine pairs")
        if self.is_t5 and self.relative_max_distance <= self.relative_buckets // 2:
            raise ModelError(
                f"relative_max_distance={self.relative_max_distance} must exceed {self.relative_buckets // 2}, "
                f"the distances that relative_buckets={self.relative_buckets} tell apart exactly"
            )
        object.__setattr__(self, "other_eos_ids", tuple(self.other_eos_ids))  # a list, where it was read from JSON
        ids = [(name, getattr(self, name)) for name in ("pad_id", "eos_id", "start_id")]
        for name, value in (*ids, *(("other_eos_ids", number) for number in self.other_eos_ids)):
            if not value < self.vocab_size:
                raise ModelError(f"{name}={value} lies outside the vocabulary of {self.vocab_size}")

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Every id that ends a sentence, ``eos_id`` first."""
        return self.eos_id, *self.other_eos_ids

    @property
    def is_t5(self) -> bool:
        """True for T5's choices, False for those of the 2017 paper."""
        return self.architecture == "t5"

    @property
    def inner(self) -> int:
        """H * K, the width of all query heads together; it need not equal D."""
        return self.num_heads * self.d_kv

    @property
    def kv_heads(self) -> int:
        """G, the heads of K and V."""
        return self.num_heads if self.num_kv_heads is None else self.num_kv_heads

    @property
    def kv_inner(self) -> int:
        """G * K, the width of K, and of V."""
        return self.kv_heads * self.d_kv

    @property
    def group(self) -> int:
        """H / G, the query heads that share one head of K and V: 1 in multi-head attention."""
        return self.num_heads // self.kv_heads

    @property
    def score_scale(self) -> float:
        """The factor on q . k: K**-0.5 in 2017 (eq. 1), none in T5 (folded into its initialisation)."""
        return 1.0 if self.is_t5 else float(self.d_kv) ** -0.5


def check_field(name: str, value: Any) -> None:
    """Raise ModelError for a value that no model could have in this field, whatever its other fields are."""
    known = [entry.name for entry in fields(ModelConfig)]
    told = "null" if value is None else reprlib.repr(value)
    if name not in known:
        raise ModelError(f"model.{plain(name)} is not a model size; known: {', '.join(known)}")
    if name == "architecture":
        if value not in ("t5", "transformer2017"):
            raise ModelError(f"unknown architecture {told}; known: t5, transformer2017")
    elif name in ("gated", "tie_head", "scale_head"):
        if not isinstance(value, bool):
            raise ModelError(f"{name}={told} is not allowed; give true or false")
    elif name in ("norm_eps", "dropout"):
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < 1:
            raise ModelError(f"{name}={told} is not allowed; give a number of at least 0 and below 1")
    elif name == "other_eos_ids":
        if not isinstance(value, list | tuple) or not all(type(x) is int and 0 <= x <= MAX_SIZE for x in value):
            raise ModelError(f"other_eos_ids={told} is not allowed; give a list of token ids")
    elif name == "num_kv_heads" and value is None:
        return
    else:
        least = {"pad_id": 0, "eos_id": 0, "start_id": 0, "relative_buckets": 4}.get(name, 1)
        most = MAX_LAYERS if name.endswith("_layers") else MAX_SIZE
        if type(value) is not int or not least <= value <= most:
            why = ": two directions, near and far" if name == "relative_buckets" else ""
            raise ModelError(
                f"model size {name}={told} must be a whole number of at least {least} and at most {most}{why}"
            )
