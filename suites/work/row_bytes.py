"""The bytes in which a row of a strategy's self-attention K/V persists, as the strategy states them."""

from __future__ import annotations

import torch

from strategies import ModelConfig, Strategy, StrategyError
from strategies.models.stores import KVShape

from .declared import MOST


def row_bytes(config: ModelConfig, bound: Strategy, dtype: torch.dtype) -> int:
    """Bytes of one row of K and one of V, of one sequence in one layer, where the model's type is ``dtype``.

    Raises StrategyError if the strategy gives no whole number of bytes, or none.
    """
    shape = KVShape(1, config.kv_heads, config.d_kv, 1, dtype, torch.device("cpu"))
    found = bound.kv_row_bytes(shape)
    if type(found) is not int or not 0 < found <= MOST:
        shown = found if isinstance(found, int | float) else type(found).__name__
        raise StrategyError(
            f"{bound.label}: kv_row_bytes(shape) = {shown} is no number of bytes; return a whole number from 1 to "
            f"{MOST}"
        )
    return found
