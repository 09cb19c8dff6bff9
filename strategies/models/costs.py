"""Closed formulas: every matrix product that the model runs, and its FLOPs.

A product [rows, inner] x [inner, cols] costs 2 * rows * inner * cols FLOPs; a batched product costs that times its
batch. Only matrix products count. Norms, softmax and activations are left out, as is usual (Kaplan et al. 2020, arXiv
2001.08361, section 2.1). ``tests/test_conformance.py`` requires the formulas to equal a record of the running model.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from .config import ModelConfig
from .front_end import FRAMES, KERNEL


@dataclass(frozen=True, order=True)
class Product:
    """One matrix product and how many times it runs, such as once per layer. ``batch`` is 1 for a plain GEMM.

    ``role`` is the module that asks for it. The two products inside attention add ``.scores`` (q k^T) and ``.context``
    (p v) to the module's name.
    """

    role: str
    batch: int
    rows: int
    inner: int
    cols: int
    count: int = 1

    @property
    def flops(self) -> int:
        """FLOPs of all its runs: 2 * batch * rows * inner * cols * count."""
        return 2 * self.batch * self.rows * self.inner * self.cols * self.count

    @property
    def is_attention(self) -> bool:
        """True for scores and context, whose second operand is K or V; that of any other product is a weight."""
        return self.role.endswith((".scores", ".context"))


def flops(products: Iterable[Product]) -> int:
    """Sum of the FLOPs of ``products``."""
    return sum(product.flops for product in products)


def role_flops(products: Iterable[Product]) -> dict[str, int]:
    """Sum of the FLOPs of ``products`` for each role."""
    found: Counter[str] = Counter()
    for product in products:
        found[product.role] += product.flops
    return dict(found)


CROSS_READ = "decoder.cross_attn.read"
"""Role of what decides which keys of the source are read."""


def _attention(
    role: str, config: ModelConfig, batch: int, rows: int, keys: int, count: int, beams: int = 1
) -> list[Product]:
    # Query heads, and beams, that share K and V are rows of one product (attention.py).
    heads, grouped, size = batch * config.kv_heads, beams * rows * config.group, config.d_kv
    return [
        Product(f"{role}.scores", heads, grouped, size, keys, count),
        Product(f"{role}.context", heads, grouped, keys, size, count),
        Product(f"{role}.out", 1, batch * beams * rows, config.inner, config.d_model, count),
    ]


def _feed_forward(role: str, config: ModelConfig, rows: int, count: int) -> list[Product]:
    width = config.d_ff * (2 if config.gated else 1)
    return [
        Product(f"{role}.wi", 1, rows, config.d_model, width, count),
        Product(f"{role}.wo", 1, rows, config.d_ff, config.d_model, count),
    ]


def front_end(config: ModelConfig, batch: int, src_len: int) -> list[Product]:
    """Products of the convolutions over features [B, mel, 2 S]; none where a source is token ids.

    A row of a product holds the frames under the kernel, and there is one for each place of the kernel.
    """
    if config.mel_bins is None:
        return []
    rows, width = batch * src_len, config.d_model
    return [
        Product("encoder.front_end.conv1", 1, FRAMES * rows, KERNEL * config.mel_bins, width),
        Product("encoder.front_end.conv2", 1, rows, KERNEL * width, width),
    ]


def encoder(config: ModelConfig, batch: int, src_len: int) -> list[Product]:
    """Products of the encoder's pass over B sources of S positions."""
    convolutions = front_end(config, batch, src_len)
    config = config.for_encoder
    rows, count = batch * src_len, config.encoder_layers
    return [
        *convolutions,
        Product("encoder.self_attn.qkv", 1, rows, config.d_model, config.inner + 2 * config.kv_inner, count),
        *_attention("encoder.self_attn", config, batch, src_len, src_len, count),
        *_feed_forward("encoder.ffn", config, rows, count),
    ]


def cross_projection(config: ModelConfig, batch: int, src_len: int) -> list[Product]:
    """Products that turn the encoder's output into every layer's cross K and V, at prefill or at every step."""
    rows, count = batch * src_len, config.decoder_layers
    return [Product("decoder.cross_attn.kv", 1, rows, config.d_model, 2 * config.kv_inner, count)]


def decoder(
    config: ModelConfig,
    batch: int,
    src_len: int,
    rows: int,
    keys: int,
    logit_rows: int = 1,
    beams: int = 1,
    cross_shared: bool = True,
    cross_observed: int = 0,
) -> list[Product]:
    """Products of one call of the decoder on T=``rows`` rows against M=``keys`` keys, without ``cross_projection``.

    Each of the B=``batch`` sentences has W=``beams`` sequences of T rows. With ``cross_shared`` those of a sentence
    read the same cross-attention K and V, as rows of one product. Cross-attention reads ``src_len`` keys of the
    source, and the scores of ``cross_observed`` keys are computed once more, to see what is attended. The LM head runs
    on ``logit_rows`` rows of each sequence: the last row in decoding, all rows in training, none in prefill.
    """
    sequences, count = batch * beams, config.decoder_layers
    fed = sequences * rows
    sources, together = (batch, beams) if cross_shared else (sequences, 1)
    heads, grouped = sources * config.kv_heads, together * rows * config.group
    observed = [Product(f"{CROSS_READ}.scores", heads, grouped, config.d_kv, cross_observed, count)]
    return [
        Product("decoder.self_attn.qkv", 1, fed, config.d_model, config.inner + 2 * config.kv_inner, count),
        *_attention("decoder.self_attn", config, sequences, rows, keys, count),
        Product("decoder.cross_attn.q", 1, fed, config.d_model, config.inner, count),
        *(observed if cross_observed else []),
        *_attention("decoder.cross_attn", config, sources, rows, src_len, count, together),
        *_feed_forward("decoder.ffn", config, fed, count),
        *([Product("lm_head", 1, sequences * logit_rows, config.d_model, config.vocab_size)] if logit_rows else []),
    ]


def necessary_flops(config: ModelConfig, src_lens: Iterable[int], tgt_lens: Iterable[int], beams: int = 1) -> int:
    """FLOPs that any exact incremental decoder needs: one row per step, k keys, real source tokens, cross K/V once.

    Sum over sentences of real length s: encoder(s) + cross projection(s) + sum over k of decoder(1 row, k keys, s).
    With W=``beams`` each step has one row per beam, until the sentence has ended after ``tgt_lens`` steps. The terms
    are linear in k, so the sum over k is the number of steps times the value at their middle. The rows of a prefix
    before the first step are one per sentence, whatever the number of beams, and need no head.
    """
    total, fed = 0, config.prefix_len - 1
    for source, target in zip(src_lens, tgt_lens, strict=True):
        total += flops(encoder(config, 1, source)) + flops(cross_projection(config, 1, source))
        first, last = (flops(decoder(config, 1, source, 1, fed + k, beams=beams)) for k in (1, target))
        total += target * (first + last) // 2
        if fed:
            first, last = (flops(decoder(config, 1, source, 1, k, logit_rows=0)) for k in (1, fed))
            total += fed * (first + last) // 2
    return total


@dataclass(frozen=True)
class StepShape:
    """The sizes of one decode step: T=``rows`` rows of each sequence, M=``keys`` keys, and S source positions.

    There are B=``batch`` sentences of W=``beams`` sequences each. ``copied`` is the number of rows of each layer's K,
    and of its V, that are copied to make room or to be read, ``expanded`` that of rows made anew to be read. Rows
    persist in ``row_bytes`` for K and V together, of one sequence in one layer; None stands for the model's type.

    ``cross_recomputed`` says whether cross K and V are projected again, ``cross_shared`` whether the beams of a
    sentence share them. Of the source ``cross_keys`` keys are read (None: all S), the scores of ``cross_observed`` are
    computed once more, and ``cross_copied`` rows are copied, because the others are dropped. Before the step, per
    sequence, ``reordered`` rows of each layer's K and V, ``entries`` of index tables, and ``source_reordered`` rows of
    what is kept of the source are copied as the beams are reordered.
    """

    batch: int
    src_len: int
    rows: int
    keys: int
    copied: int = 0
    cross_recomputed: bool = False
    beams: int = 1
    cross_shared: bool = True
    reordered: int = 0
    entries: int = 0
    source_reordered: int = 0
    expanded: int = 0
    cross_keys: int | None = None
    cross_copied: int = 0
    cross_observed: int = 0
    row_bytes: int | None = None

    @property
    def sequences(self) -> int:
        """Rows of the batch in the decoder, B * W."""
        return self.batch * self.beams

    @property
    def cross_read(self) -> int:
        """Keys of the source that are read."""
        return self.src_len if self.cross_keys is None else self.cross_keys

    @property
    def sources(self) -> int:
        """Rows of the batch of cross-attention K and V: B where beams share them, else B * W."""
        return self.batch if self.cross_shared else self.sequences


def step(config: ModelConfig, shape: StepShape, logit_rows: int = 1) -> list[Product]:
    """Products of one decode step, with the cross projection if it runs again."""
    products = decoder(
        config,
        shape.batch,
        shape.cross_read,
        shape.rows,
        shape.keys,
        logit_rows,
        shape.beams,
        cross_shared=shape.cross_shared,
        cross_observed=shape.cross_observed,
    )
    return products + (cross_projection(config, shape.sources, shape.src_len) if shape.cross_recomputed else [])


def prefix(config: ModelConfig, shape: StepShape) -> list[Product]:
    """Products of the pass in which prefill feeds rows of a prefix: those of a step, without the head."""
    return step(config, shape, logit_rows=0)
