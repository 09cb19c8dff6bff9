"""The sizes of a model as letters, for the formulas of ``costs``, and the numbers of these letters."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

from strategies import ModelConfig

from .symbols import GROWING, SIZES, Expression


@dataclass(frozen=True)
class Sizes:
    """The sizes of a ``ModelConfig`` that the formulas read, each as a letter; numbers of layers stay numbers.

    ``of_encoder``: they are those of the encoder, which has letters of its own for what differs.
    """

    config: ModelConfig
    of_encoder: bool = False
    d_model: Expression = SIZES["D"]
    vocab_size: Expression = SIZES["V"]

    def _letter(self, name: str) -> Expression:
        letter = OF_BOTH[name]
        return SIZES[f"{letter}ₑ" if self.of_encoder and name in differing(self.config) else letter]

    @property
    def for_encoder(self) -> Sizes:
        """The sizes of the encoder."""
        return Sizes(self.config, of_encoder=True)

    @property
    def num_heads(self) -> Expression:
        """H, query heads; or G, if the heads of K and V are as many in this stack alone."""
        side = self.config.for_encoder if self.of_encoder else self.config
        return SIZES["G"] if is_grouped(self.config) and side.group == 1 else self._letter("num_heads")

    @property
    def d_kv(self) -> Expression:
        """The size of a head."""
        return self._letter("d_kv")

    @property
    def d_ff(self) -> Expression:
        """F, the width of the feed-forward network."""
        return self._letter("d_ff")

    @property
    def inner(self) -> Expression:
        """Width of all query heads together."""
        return self.num_heads * self.d_kv

    @property
    def kv_heads(self) -> Expression:
        """G, or H if there are as many K/V heads as heads."""
        return SIZES["G"] if is_grouped(self.config) else self.num_heads

    @property
    def kv_inner(self) -> Expression:
        """Width of K, which is also that of V."""
        return self.kv_heads * self.d_kv

    @property
    def group(self) -> Expression:
        """Number of query heads that share one head of K and V."""
        return self.num_heads / self.kv_heads

    @property
    def gated(self) -> bool:
        """Whether the feed-forward layer is gated, which decides which products there are."""
        return self.config.gated

    @property
    def mel_bins(self) -> Expression | None:
        """The features of a frame, None where sources are token ids."""
        return None if self.config.mel_bins is None else SIZES["m"]

    @property
    def encoder_layers(self) -> int:
        """Number of layers in the encoder."""
        return self.config.encoder_layers

    @property
    def decoder_layers(self) -> int:
        """Number of layers in the decoder."""
        return self.config.decoder_layers

    def as_config(self) -> ModelConfig:
        """Return these sizes for functions that ask for a configuration and only multiply its sizes."""
        return cast(ModelConfig, self)


OF_BOTH = {"num_heads": "H", "d_kv": "d", "d_ff": "F"}
"""Sizes of a stack, of which the encoder may have its own, and their letters in the decoder."""


def differing(config: ModelConfig) -> list[str]:
    """Names among ``OF_BOTH`` of the sizes in which the encoder differs from the decoder."""
    return [name for name in OF_BOTH if getattr(config.for_encoder, name) != getattr(config, name)]


def is_grouped(config: ModelConfig) -> bool:
    """Whether several query heads share a head of K and V, in either stack."""
    return config.group > 1 or config.for_encoder.group > 1


def values(config: ModelConfig, beams: int = 1, **growing: int) -> dict[Expression, int]:
    """Return the number of each letter in one cell: ``values(config, B=8, S=64, k=3)``."""
    sizes = {letter: getattr(config, name) for name, letter in OF_BOTH.items()}
    sizes |= {f"{OF_BOTH[name]}ₑ": getattr(config.for_encoder, name) for name in differing(config)}
    sizes |= {"D": config.d_model, "V": config.vocab_size}
    if is_grouped(config):
        sizes["G"] = config.kv_heads
    if config.mel_bins is not None:
        sizes["m"] = config.mel_bins
    if config.prefix_len > 1:
        sizes["P"] = config.prefix_len
    if beams > 1:
        sizes["W"] = beams
    return {(SIZES | GROWING)[name]: value for name, value in (sizes | growing).items()}
