"""Shadows: models of the same architecture whose sizes are primes, so that no two letters have the same number."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from strategies import ModelConfig

from .sizes import differing, is_grouped

GROUP, ENCODER_GROUP = 4, 6
"""Query heads of a shadow that share a head of K and V if its model shares them, in the decoder and in an encoder of
other heads. No other size is 4 or 6, nor two more."""
PREFIX = 3
"""Tokens of a shadow's prefix, if its model has one of several tokens. No other size is 2, as those before the last."""
POSITIONS = 128
"""Positions of a shadow, where its model has a limited number: more than it has tokens."""


@dataclass(frozen=True)
class Shadow:
    """Sizes of a shadow, no two equal. All are primes, except that D is twice a prime where sinusoids come in pairs.

    Those of the encoder count if it differs from the decoder in them.
    """

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
    encoder_heads: int
    encoder_head_size: int
    encoder_feed_forward: int
    source_vocabulary: int
    mel_bins: int

    def config(self, config: ModelConfig) -> ModelConfig:
        """Return the configuration in these sizes; several query heads share K and V if they do in ``config``."""
        own, side = differing(config), config.for_encoder
        shared = is_grouped(config)
        limits = {"src": config.src_positions, "tgt": config.tgt_positions}
        positions = {name: None if most is None else POSITIONS for name, most in limits.items()}
        encoder_heads = self.heads * (ENCODER_GROUP if side.group > 1 else 1) if shared else self.encoder_heads
        return dataclasses.replace(
            config,
            vocab_size=self.vocabulary,
            src_vocab_size=None if config.src_vocab_size is None else self.source_vocabulary,
            d_model=self.half_width * (2 if "sinusoidal" in (config.positions, side.positions) else 1),
            num_heads=self.heads * (GROUP if config.group > 1 else 1),
            num_kv_heads=self.heads if shared else None,
            d_kv=self.head_size,
            d_ff=self.feed_forward,
            encoder_heads=encoder_heads if "num_heads" in own else None,
            encoder_d_kv=self.encoder_head_size if "d_kv" in own else None,
            encoder_d_ff=self.encoder_feed_forward if "d_ff" in own else None,
            encoder_layers=2,
            decoder_layers=3,
            mel_bins=None if config.mel_bins is None else self.mel_bins,
            src_positions=self.source if config.mel_bins is not None else positions["src"],
            tgt_positions=positions["tgt"],
            pad_id=0,
            eos_id=1,
            start_id=0,
            other_eos_ids=(),
            prefix_ids=(2,) * (PREFIX - 1) if config.prefix_len > 1 else (),
            suppress_ids=(),
            begin_suppress_ids=(),
            forced_eos_id=None,
        )

    def shares(self, capacity: int) -> bool:
        """Whether the fixed capacity of a strategy could be mistaken for another of these sizes."""
        sizes = {value for name, value in dataclasses.asdict(self).items() if name != "capacity"}
        return bool(sizes & {capacity, capacity // 2 if capacity % 2 == 0 else 0})


SHADOW = Shadow(5, 17, 23, 11, 29, 7, 13, 19, 43, 101, 59, 73, 79, 83, 89, 97)
ANOTHER = Shadow(5, 61, 37, 31, 41, 7, 53, 47, 67, 103, 71, 107, 109, 113, 127, 131)
"""Second shadow, for a strategy whose own capacity is a size of the first."""
