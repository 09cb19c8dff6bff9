"""Shadows: models of the same architecture whose sizes are primes, so that no two letters have the same number."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from strategies import ModelConfig

GROUP = 4
"""Query heads of a shadow that share a head of K and V if its model shares them. No other size is 4, nor 4 + 2."""


@dataclass(frozen=True)
class Shadow:
    """Sizes of a shadow, no two equal. All are primes, except that D is twice a prime where sinusoids come in pairs."""

    batch: int
    source: int
    target: int
    step: int
    capacity: int
    heads: int
    head_size: int
    half_width: int
    feed_forward: int
    vocabulary: int
    beams: int

    def config(self, config: ModelConfig) -> ModelConfig:
        """Return the configuration in these sizes; several query heads share K and V if they do in ``config``."""
        shared = config.group > 1
        return dataclasses.replace(
            config,
            vocab_size=self.vocabulary,
            d_model=self.half_width * (2 if "sinusoidal" in (config.positions, config.for_encoder.positions) else 1),
            num_heads=self.heads * (GROUP if shared else 1),
            num_kv_heads=self.heads if shared else None,
            d_kv=self.head_size,
            d_ff=self.feed_forward,
            encoder_layers=2,
            decoder_layers=3,
        )

    def shares(self, capacity: int) -> bool:
        """Whether the fixed capacity of a strategy could be mistaken for another of these sizes."""
        sizes = {value for name, value in dataclasses.asdict(self).items() if name != "capacity"}
        return bool(sizes & {capacity, capacity // 2 if capacity % 2 == 0 else 0})


SHADOW = Shadow(5, 17, 23, 11, 29, 7, 13, 19, 43, 101, 59)
ANOTHER = Shadow(5, 61, 37, 31, 41, 7, 53, 47, 67, 103, 71)
"""Second shadow, for a strategy whose own capacity is a size of the first."""
