"""Check for logits that are NaN or infinite: with such logits equality cannot be proven and no token chosen."""

from __future__ import annotations

import torch
from torch import Tensor

from strategies import Mistake
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.held import plain


class NotFiniteError(Mistake):
    """The oracle's logits hold NaN or infinity, so that no strategy's equality can be proven."""

    status = "invalid"


def require_finite(logits_BV: Tensor, model: EncoderDecoder, label: str, k: int) -> None:
    """Raise NotFiniteError, with what to do, if the logits [B, V] of ``label`` at step ``k`` are not all finite."""
    finite_BV = logits_BV.isfinite()
    if bool(finite_BV.all()):
        return
    row = int((~finite_BV).any(-1).nonzero()[0])
    value = float(logits_BV[row][~finite_BV[row]][0])
    raise NotFiniteError(f"step {k}: logits of {label} are not finite (row {row} has {value}); {_remedy(model)}")


def _remedy(model: EncoderDecoder) -> str:
    """Say what to do, by the likely origin of the value that is not finite: a weight of the model, or an overflow.

    Sources that are features may be too large themselves.
    """
    dtype = model.embedding.weight.dtype
    broken = next((name for name, weight in model.named_parameters() if not bool(plain(weight).isfinite().all())), "")
    cause, again = "the weights are damaged", "the checkpoint again, or give another"
    if model.config.mel_bins is not None and not broken:
        cause, again = "the features are too large or the weights damaged", "them again"
    if dtype == torch.float16:
        found = f"the weight {broken} is not finite in float16" if broken else "float16 ends at 65504"
        return f"{found}: give dtype=bf16 or dtype=fp32; if these fail too, {cause}: save them again"
    found = f"the weight {broken} is not finite" if broken else f"values overflow {str(dtype).removeprefix('torch.')}"
    return f"{found}: {cause}; save {again}"
