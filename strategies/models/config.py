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

import difflib
from dataclasses import dataclass, fields, replace
from functools import cached_property
from typing import Any

from .architectures import (
    OPTIONS,
    Activation,
    Architecture,
    Norm,
    Positions,
    SinusoidExponent,
    SinusoidOrder,
)
from .config_checks import check_together
from .config_values import ID_LISTS, check_value
from .config_values import ModelError as ModelError
from .message_text import plain

_AS_ARCHITECTURE: Any = None
"""The default of an option that the architecture decides. ``ModelConfig`` puts its value in this place."""


@dataclass(frozen=True)
class ModelConfig:
    """Everything that decides a model's shapes, arithmetic and choice of tokens, except its weights.

    **Sizes.** ``num_heads``, ``d_kv`` and ``d_ff`` are those of both stacks, unless the encoder has its own
    (``encoder_heads``, ``encoder_d_kv``, ``encoder_d_ff``). ``num_kv_heads`` sets how many heads K and V have, in every
    attention of the model: as many as there are query heads (None, multi-head), one (multi-query; Shazeer 2019, arXiv
    1911.02150, section 3), or a divisor in between (grouped-query; Ainslie et al. 2023, arXiv 2305.13245).
    ``src_vocab_size`` gives the encoder an embedding of its own, over a vocabulary of that size; without it both stacks
    share one. ``mel_bins`` is for sources that are features [B, mel, 2 S] instead of token ids: two convolutions make S
    rows of them (Radford et al. 2022, arXiv 2212.04356, section 2.2). ``src_positions`` and ``tgt_positions`` are the
    most positions of a source and of a target, None for any number; a source of features always has ``src_positions``.

    **Options**, each with the architecture's value unless given (``architectures.py``, with sources):

    - ``positions``: "relative", a bias on scores by distance, one table per stack, or one per layer with
      ``relative_per_layer`` (UMT5: Chung et al. 2023, arXiv 2304.09151); "sinusoidal", codes in ``sinusoid_order`` with
      ``sinusoid_exponent``; "learned", a table of weights (also one that a checkpoint stores and never trained);
      "none". ``encoder_positions`` is for an encoder that differs. The first token has the number ``first_position``,
      and with ``zero_at_pad`` padding has no position.
    - ``norm`` ("rms" or "layer", with ``norm_eps``) stands before each block with ``norm_first``, else after each
      residual sum; with ``embedding_norm`` also on the embedding, and with ``final_norm`` at the end of a stack.
    - ``scale_embedding`` multiplies it by D**0.5, ``scale_scores`` scores by K**-0.5, and ``scale_head`` hidden states
      by D**-0.5 before the head (T5 v1.0).
    - ``activation`` of the feed-forward network, ``gated`` or not; a gated T5 has "gelu_new". ``biases`` are those of
      all products but the head, which has one with ``logits_bias``.
    - ``ffn_out_fp32``: in float16, the feed-forward network's second product is in float32.

    **Choice of tokens.** ``other_eos_ids`` end a sentence as ``eos_id`` does. ``prefix_ids`` are forced after
    ``start_id`` (a language, a task). ``suppress_ids`` are never chosen, ``begin_suppress_ids`` never as the first
    token, and where a sentence has not ended at the last step ``forced_eos_id`` is chosen.
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
    scale_head: bool = _AS_ARCHITECTURE
    relative_buckets: int = 32
    relative_max_distance: int = 128
    norm_eps: float = _AS_ARCHITECTURE
    pad_id: int = 0
    eos_id: int = 1
    start_id: int = 0
    dropout: float = 0.0
    num_kv_heads: int | None = None
    other_eos_ids: tuple[int, ...] = ()
    encoder_heads: int | None = None
    encoder_d_kv: int | None = None
    encoder_d_ff: int | None = None
    src_vocab_size: int | None = None
    mel_bins: int | None = None
    src_positions: int | None = None
    tgt_positions: int | None = None
    positions: Positions = _AS_ARCHITECTURE
    encoder_positions: Positions | None = None
    relative_per_layer: bool = False
    sinusoid_order: SinusoidOrder = _AS_ARCHITECTURE
    sinusoid_exponent: SinusoidExponent = _AS_ARCHITECTURE
    first_position: int = _AS_ARCHITECTURE
    zero_at_pad: bool = _AS_ARCHITECTURE
    norm: Norm = _AS_ARCHITECTURE
    norm_first: bool = _AS_ARCHITECTURE
    embedding_norm: bool = _AS_ARCHITECTURE
    final_norm: bool = _AS_ARCHITECTURE
    scale_embedding: bool = _AS_ARCHITECTURE
    scale_scores: bool = _AS_ARCHITECTURE
    activation: Activation = _AS_ARCHITECTURE
    biases: bool = _AS_ARCHITECTURE
    logits_bias: bool = False
    ffn_out_fp32: bool = _AS_ARCHITECTURE
    prefix_ids: tuple[int, ...] = ()
    suppress_ids: tuple[int, ...] = ()
    begin_suppress_ids: tuple[int, ...] = ()
    forced_eos_id: int | None = None

    def __post_init__(self) -> None:
        for name in ("architecture", "gated", "pad_id"):
            check_value(name, getattr(self, name))
        options = dict(OPTIONS[self.architecture])
        if self.architecture == "m2m_100":
            options["first_position"] = self.pad_id + 1
        if self.architecture == "t5" and self.gated:
            options["activation"] = "gelu_new"
        for name, value in options.items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        for entry in fields(self):
            if entry.name != "num_kv_heads":
                check_value(entry.name, getattr(self, entry.name))
            if entry.name in ID_LISTS:  # lists, where they were read from JSON
                object.__setattr__(self, entry.name, tuple(getattr(self, entry.name)))
        check_together(self)

    @cached_property
    def for_encoder(self) -> ModelConfig:
        """The configuration with the encoder's own sizes and positions in the place of those of both stacks."""
        own = self.encoder_heads, self.encoder_d_kv, self.encoder_d_ff, self.encoder_positions
        if own == (None,) * 4:
            return self
        return replace(
            self,
            num_heads=self.encoder_heads or self.num_heads,
            d_kv=self.encoder_d_kv or self.d_kv,
            d_ff=self.encoder_d_ff or self.d_ff,
            positions=self.encoder_positions or self.positions,
            # A table's length is asked for below by the side that it belongs to, so both are given here.
            tgt_positions=self.tgt_positions or self.src_positions,
            encoder_heads=None,
            encoder_d_kv=None,
            encoder_d_ff=None,
            encoder_positions=None,
        )

    @property
    def prefix(self) -> tuple[int, ...]:
        """The decoder's forced tokens, its prefix: the start token and ``prefix_ids``."""
        return self.start_id, *self.prefix_ids

    @property
    def prefix_len(self) -> int:
        """P, the number of forced tokens."""
        return len(self.prefix)

    def target_rows(self, tgt_len: int) -> int:
        """Rows that the decoder computes for N = ``tgt_len`` free tokens: P - 1 + N, the k of the last step."""
        return self.prefix_len - 1 + tgt_len

    def beyond_positions(self, src_len: int, tgt_len: int, prefix_len: int | None = None) -> str:
        """Say in one line that sources or targets do not fit the positions of the model; "" if they do.

        Features always fill all positions of a source. Targets are of N = ``tgt_len`` free tokens after
        P = ``prefix_len`` forced ones, by default the model's.
        """
        if self.mel_bins is not None and src_len != self.src_positions:
            return (
                f"src_len={src_len} is not allowed: the model's sources are features of exactly {self.src_positions} "
                f"positions; give src_len={self.src_positions}, or leave it out"
            )
        before = (prefix_len or self.prefix_len) - 1
        if self.tgt_positions is not None and before >= self.tgt_positions:
            return (
                f"a decoder prefix of {before + 1} tokens leaves none of the model's {self.tgt_positions} positions to "
                "what is chosen; give a shorter model.prefix_ids"
            )
        forced = f", after {before} tokens of a prefix," if before else ""
        found = []
        if self.src_positions is not None and src_len > self.src_positions:
            found.append((f"src_len={src_len}", self.src_positions, f"src_len={self.src_positions}"))
        if self.tgt_positions is not None and before + tgt_len > self.tgt_positions:
            found.append((f"tgt_len={tgt_len}{forced}", self.tgt_positions, f"tgt_len={self.tgt_positions - before}"))
        told = [f"{length} lies beyond the model's {most} positions" for length, most, _ in found]
        return f"{' and '.join(told)}; give {' '.join(give for *_, give in found)} or less" if found else ""

    @property
    def source_vocabulary(self) -> int:
        """The number of ids that a source may hold; 0 for a source of features."""
        return 0 if self.mel_bins is not None else self.src_vocab_size or self.vocab_size

    @property
    def has_own_source_embedding(self) -> bool:
        """Whether the encoder has an embedding of its own."""
        return self.mel_bins is None and self.src_vocab_size is not None

    @property
    def eos_ids(self) -> tuple[int, ...]:
        """Every id that ends a sentence, ``eos_id`` first."""
        return self.eos_id, *self.other_eos_ids

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
        """The factor on q . k: K**-0.5 (2017 paper, eq. 1), or 1 (T5, which folds it into its initialisation)."""
        return float(self.d_kv) ** -0.5 if self.scale_scores else 1.0


def check_field(name: str, value: Any) -> None:
    """Raise ModelError for a value that no model could have in this field, whatever its other fields are."""
    check_name(name)
    check_value(name, value)


def check_name(name: str) -> None:
    """Raise ModelError for a name that is no field of ``ModelConfig``; there are too many to list in a message."""
    known = [entry.name for entry in fields(ModelConfig)]
    if name not in known:
        close = " or ".join(difflib.get_close_matches(name, known))
        meant = f"did you mean {close}? " if close else ""
        raise ModelError(
            f"model.{plain(name)} is not a model size or option; {meant}docs/columns.md lists all, as model_config.*"
        )
