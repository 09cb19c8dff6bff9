"""Closed formulas: the bytes that a decode step must move between memory and the processor, by role, and those of K/V.

They follow from the products that ``costs.py`` lists. ``tests/test_conformance.py`` requires them to equal what the
running model moved, as ``suites/probes/traffic.py`` records it.
"""

from __future__ import annotations

from dataclasses import dataclass

from .config import ModelConfig
from .costs import CROSS_READ, StepShape, step


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
    - ``decoder.self_attn.append`` writes the T new rows of K and V in each layer as they persist, in ``row_bytes``,
      reads and writes each of the ``copied`` rows that concatenation moves, and reads each ``expanded`` row as it
      persists and writes it in the model's type;
    - scores read K and contexts read V in the model's type: M rows in self-attention, ``cross_keys`` of the source;
    - ``decoder.cross_attn.read`` reads and writes the rows that stay where others are dropped, and reads the K whose
      scores are computed once more;
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
    row = shape.sequences * config.kv_inner * layers  # one row of K, or of V, in all layers, as it is attended
    wide = 2 * config.kv_inner * element.usual if shape.row_bytes is None else shape.row_bytes
    kept = shape.sequences * wide * config.decoder_layers  # one row of K and of V in all layers, as they persist
    cross_row = shape.sources * config.kv_inner * layers  # one row of cross-attention's K, or of its V
    source = shape.src_len * cross_row
    found["decoder.self_attn.append"] = StepBytes(
        self_kv=shape.rows * kept, copies=2 * shape.copied * kept + shape.expanded * (kept + 2 * row)
    )
    for operand in ("scores", "context"):
        found[f"decoder.self_attn.{operand}"] = StepBytes(self_kv=shape.keys * row)
        found[f"decoder.cross_attn.{operand}"] = StepBytes(cross_kv=shape.cross_read * cross_row)
    if shape.cross_observed:
        found[f"{CROSS_READ}.scores"] = StepBytes(cross_kv=shape.cross_observed * cross_row)
    if shape.cross_copied:
        found[CROSS_READ] = StepBytes(copies=2 * 2 * shape.cross_copied * cross_row)
    memory = shape.sources * shape.src_len * config.d_model * element.usual
    if shape.cross_recomputed:
        found["decoder.cross_attn.kv"] += StepBytes(cross_kv=memory * config.decoder_layers + 2 * source)
    if shape.beams > 1:
        entries = 2 * ENTRY * shape.entries * shape.sequences
        found["decoder.self_attn.select"] = StepBytes(copies=2 * shape.reordered * kept + entries)
        source_row = shape.sources * config.d_model * element.usual if shape.cross_recomputed else 2 * cross_row
        found["decoder.cross_attn.select"] = StepBytes(copies=2 * shape.source_reordered * source_row)
    return found


def step_bytes(config: ModelConfig, shape: StepShape, element: ElementBytes) -> StepBytes:
    """The sum of ``role_bytes`` over roles: weights, self K/V written and read, cross K/V, and copies."""
    return sum(role_bytes(config, shape, element).values(), StepBytes())


ENTRY = 8
"""Bytes of an entry of an index table, int64."""


def kv_bytes(config: ModelConfig, batch: int, rows: int, width: int) -> int:
    """Bytes of ``rows`` rows of K and V in every decoder layer: 2 * B * G*K * rows * L * width."""
    return stored_bytes(config, batch, rows, 2 * config.kv_inner * width)


def stored_bytes(config: ModelConfig, batch: int, rows: int, row_bytes: int) -> int:
    """Bytes of ``rows`` rows of K and V in every decoder layer, which persist in ``row_bytes`` for both."""
    return batch * rows * config.decoder_layers * row_bytes
