"""What packing a weight for a kernel gives, and the plain weight whose place it takes."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import nn

from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from ..head import Head
from ..held import Replacement, is_replaced, replace
from .custom_operator import Apply


class Packed(NamedTuple):
    """A product by a kernel, and the bytes of the copy that it reads.

    ``replacement`` holds the weight in place of the plain one, if the product of any number of rows reads the copy.
    """

    apply: Apply
    copy_bytes: int
    replacement: Replacement | None = None


def replace_plain(model: EncoderDecoder, module: nn.Linear | Head, by: Replacement | None) -> None:
    """Give back the memory of a module's plain weight, which ``by`` holds in another layout.

    The weight stays where ``by`` is None or the embedding reads it too, and in a model of another type than float32,
    whose decoder is compared with one in float32 that is made of it.
    """
    weight, embedding = module.weight, model.embedding.weight
    if by is not None and weight is not embedding and embedding.dtype == torch.float32:
        replace(weight, by)


def is_native(model: EncoderDecoder) -> bool:
    """Whether the layers of the model's steps are native code, which ``linear=panel`` and ``auto`` may choose."""
    return "run_layers" in vars(model.decoder)


def require_plain(model: EncoderDecoder) -> None:
    """Raise ModelError for a model whose steps are native, or whose plain weights a kernel has replaced."""
    if is_native(model):
        raise ModelError("this model has linear=panel already; load it again to give it another kernel")
    if any(is_replaced(weight) for weight in model.parameters()):
        raise ModelError("this model has packed weights already; load it again to give it another kernel")
