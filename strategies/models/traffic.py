"""Closed formulas: the bytes that a decode step must move between memory and the processor, by role, and those of K/V.

They follow from the products that ``costs.py`` lists. ``tests/test_conformance.py`` requires them to equal what the
running model moved, as ``suites/probes/traffic.py`` records it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import ModelConfig
from .costs import StepShape, step


@dataclass(frozen=True)
class StepBytes:
    """Bytes that one decode step must move between memory and the processor, by kind."""

    weights: int = 0
    self_kv: int = 0
    cross_kv: int = 0
    copies: int = 0

    def __add__(self, other: StepBytes) -> StepBytes:
        return StepBytes(
            self.weights + other.weights,
            self.self_kv + other.self_kv,
            self.cross_kv + other.cross_kv,
            self.copies + other.copies,
        )

    @property
    def total(self) -> int:
        """The sum over all kinds."""
        return self.weights + self.self_kv + self.cross_kv + self.copies


@dataclass(frozen=True)
class ElementBytes:
    """Bytes per element, and per element of the feed-forward's second matrix where that differs (float16 T5)."""

    usual: int
    ffn_out: int | None = None

    def of_weight(self, role: str) -> int:
        """Bytes per element of the weight of the product ``role``."""
        return self.ffn_out or self.usual if role.endswith("ffn.wo") else self.usual


def role_bytes(config: ModelConfig, shape: StepShape, element: ElementBytes) -> dict[str, StepBytes]:
    """Bytes that one decode step must move, by role.

    - each plain product reads its weight once (biases and norms, under 1 %, are left out);
    - ``decoder.self_attn.append`` writes the T new rows of K and V in each layer, and reads and writes each of the
      ``copied`` rows that concatenation moves;
    - scores read K and contexts read V: M rows in self-attention, S in cross-attention;
    - ``decoder.cross_attn.kv``, where it runs, also reads the encoder's output and writes K and V;
    - with beams, ``decoder.self_attn.select`` and ``decoder.cross_attn.select`` read and write what is reordered before
      the step: rows of K and V, entries of index tables, or what is kept of the source.

    Activations, which stay in the processor's caches, are left out.
    """
    found = {
        p.role: StepBytes(weights=p.inner * p.cols * p.count * element.of_weight(p.role))
        for p in step(config, shape)
        if not p.is_attention
    }
    layers = element.usual * config.decoder_layers
    row = shape.sequences * config.kv_inner * layers  # one row of K, or of V, in all layers
    source = shape.sources * shape.src_len * config.kv_inner * layers  # all rows of cross-attention's K, or of its V
    found["decoder.self_attn.append"] = StepBytes(self_kv=2 * shape.rows * row, copies=2 * 2 * shape.copied * row)
    for operand in ("scores", "context"):
        found[f"decoder.self_attn.{operand}"] = StepBytes(self_kv=shape.keys * row)
        found[f"decoder.cross_attn.{operand}"] = StepBytes(cross_kv=source)
    memory = shape.sources * shape.src_len * config.d_model * element.usual
    if shape.cross_recomputed:
        found["decoder.cross_attn.kv"] += StepBytes(cross_kv=memory * config.decoder_layers + 2 * source)
    if shape.beams > 1:
        entries = 2 * ENTRY * shape.entries * shape.sequences
        found["decoder.self_attn.select"] = StepBytes(copies=2 * 2 * shape.reordered * row + entries)
        kept = memory if shape.cross_recomputed else 2 * source
        moved = 2 * kept * shape.selects if shape.cross_reordered else 0
        found["decoder.cross_attn.select"] = StepBytes(copies=moved)
    return found


def step_bytes(config: ModelConfig, shape: StepShape, element: ElementBytes) -> StepBytes:
    """The sum of ``role_bytes`` over roles: weights, self K/V written and read, cross K/V, and copies."""
    return sum(role_bytes(config, shape, element).values(), StepBytes())


ENTRY = 8
"""Bytes of an entry of an index table, int64."""


def kv_bytes(config: ModelConfig, batch: int, rows: int, width: int) -> int:
    """Bytes of ``rows`` rows of K and V in every decoder layer: 2 * B * G*K * rows * L * width."""
    return 2 * batch * config.kv_inner * rows * config.decoder_layers * width
