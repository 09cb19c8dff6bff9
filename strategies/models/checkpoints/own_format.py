"""This package's own file of weights: a safetensors file of every parameter by its name, with a card as metadata."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch

from ..config import ModelConfig, ModelError
from ..encoder_decoder import EncoderDecoder
from ..held import plain
from .tensors import StoredTensors


def load_own(path: Path, config: ModelConfig) -> EncoderDecoder:
    """Load a file that ``save_own`` wrote as a float32 model of ``config``. Raises ModelError if they do not match."""
    stored = StoredTensors([path])
    model = EncoderDecoder(config)
    parameters = dict(model.named_parameters())
    for name in sorted(parameters.keys() ^ stored.names):
        said = "is missing" if name in parameters else "is stored and belongs to no parameter of the model"
        raise ModelError(f"{path}: tensor {name} {said}; give a file of this model")
    with torch.no_grad():
        for name, parameter in parameters.items():
            stored.require_shape(name, tuple(parameter.shape), "the model")
            parameter.copy_(stored.read(name))
    return model


def save_own(model: EncoderDecoder, path: Path, dtype: torch.dtype, card: Mapping[str, str]) -> None:
    """Write every parameter once (a tied head is the embedding), with ``card`` as the file's metadata."""
    from safetensors.torch import save_file

    tensors = {name: plain(p).to(dtype).contiguous() for name, p in model.named_parameters()}
    save_file(tensors, path, metadata=dict(card))
