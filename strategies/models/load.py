"""Load a model: the embedded one, a checkpoint folder, or a shape with seeded random weights."""

from __future__ import annotations

from collections.abc import Container, Mapping
from dataclasses import MISSING, dataclass, fields, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from .checkpoints.digest import checkpoint_digest
from .checkpoints.folder import existing_folder
from .checkpoints.opener import config_of_checkpoint, load_checkpoint, open_checkpoint
from .config import ModelConfig, ModelError, check_name
from .encoder_decoder import EncoderDecoder
from .init import randomize
from .message_text import shown
from .torch_settings import set_defaults

DTYPES = {"fp32": torch.float32, "bf16": torch.bfloat16, "fp16": torch.float16}
Source = Literal["pronounce", "checkpoint", "random"]
CHOICES = ("start_id", "prefix_ids")
"""The fields of a checkpoint's ``ModelConfig`` that a spec may replace: with which tokens decoding begins."""


UNNAMED = ("checkpoint", "t5")
"""Names of a file in conf/model/ that stand for a folder, whose name the model then has."""


@dataclass(frozen=True)
class ModelSpec:
    """Where a model comes from. ``shape`` holds ModelConfig fields: those of a model of random weights, or ``CHOICES``
    of a checkpoint.

    ``checkpoint`` is the folder, an absolute path if ``of`` made this spec. ``content`` is a digest of what the folder
    holds, which ``identified`` fills in.
    """

    name: str
    source: Source
    checkpoint: str | None = None
    shape: tuple[tuple[str, Any], ...] = ()
    content: str | None = None

    def __post_init__(self) -> None:  # lists, where they were read from JSON
        shape = tuple((k, tuple(v) if isinstance(v, list) else v) for k, v in self.shape)
        object.__setattr__(self, "shape", shape)

    @classmethod
    def of(cls, entries: Mapping[str, Any]) -> ModelSpec:
        """Make a spec from the keys of a ``conf/model/*.yaml``.

        Raises ModelError for an unknown source or size, a size that has no effect, and a folder that is missing.
        """
        shape = {k: v for k, v in entries.items() if k not in ("name", "source", "checkpoint")}
        source = entries.get("source", "random")
        if source not in ("pronounce", "checkpoint", "random"):
            raise ModelError(f"model.source={shown(source)} is not known; known: pronounce, checkpoint, random")
        unknown = sorted(set(shape) - {f.name for f in fields(ModelConfig)})
        if unknown:
            check_name(unknown[0])
        settled = set(shape) - set(CHOICES if source == "checkpoint" else ())
        if settled and source != "random":
            raise ModelError(
                f"model.{min(settled)} has no effect with model.source={source}, whose weights settle every size; "
                "leave it out, or give a model of random weights, such as model=small"
            )
        checkpoint = entries.get("checkpoint")
        if source == "checkpoint" and not checkpoint:
            raise ModelError(
                "model=checkpoint needs model.checkpoint=DIR, a folder with config.json and model.safetensors"
            )
        name = str(entries.get("name", source))
        if checkpoint:
            folder = existing_folder(str(checkpoint)).resolve()
            first, bracket, choices = name.partition("(")
            name, checkpoint = f"{folder.name if first in UNNAMED else first}{bracket}{choices}", str(folder)
        return cls(name, source, checkpoint, tuple(sorted(shape.items())))

    def identified(self) -> ModelSpec:
        """This spec with ``content``, a digest of the checkpoint; unchanged if there is no checkpoint.

        The digest differs from that of another model that was in the same folder before, and stays the same when the
        folder moves. Raises ModelError for a folder that cannot be loaded.
        """
        if self.source != "checkpoint":
            return self
        folder = open_checkpoint(str(self.checkpoint))  # finds faults before all of it is read
        files = {name: folder.stored[name].file for name in folder.stored.names}
        return replace(self, content=checkpoint_digest(folder.path, files))


def config_of(spec: ModelSpec) -> ModelConfig:
    """The sizes of the model, without loading its weights. Raises ModelError."""
    if spec.source == "checkpoint":
        return config_of_checkpoint(str(spec.checkpoint), **dict(spec.shape))
    if spec.source == "pronounce":
        from .pronounce import model_config

        return model_config()
    shape = dict(spec.shape)
    if missing := [f.name for f in fields(ModelConfig) if f.default is MISSING and f.name not in shape]:
        raise ModelError(
            f"a model of random weights needs {', '.join(missing)}; add them to its file in conf/model/, or give "
            f"model.{missing[0]}=NUMBER and so on"
        )
    return ModelConfig(**shape)


def load_model(
    spec: ModelSpec | str | Path, dtype: torch.dtype = torch.float32, device: torch.device | str = "cpu", seed: int = 0
) -> EncoderDecoder:
    """Load a model for inference: in eval mode, without gradients, in ``dtype`` on ``device``.

    ``spec`` may also be the path of a checkpoint folder. ``seed`` is used only for random weights. float16 T5 keeps
    the feed-forward's second product in float32 (see ``FeedForward``). The first model on CUDA sets, for the whole
    process, what ``torch_settings.set_defaults`` says. Raises ModelError if the model cannot be built or loaded, or a
    weight lies outside ``dtype``.
    """
    if not isinstance(spec, ModelSpec):
        spec = ModelSpec(Path(spec).name, "checkpoint", str(spec))
    if spec.source == "checkpoint":
        model = load_checkpoint(str(spec.checkpoint), **dict(spec.shape))
    elif spec.source == "pronounce":
        from .pronounce import load_pronounce

        model = load_pronounce()
    else:
        model = randomize(EncoderDecoder(config_of(spec)), seed)
    model = model.eval().requires_grad_(False)
    wide = _kept_in_float32(model, dtype)
    _require_in_range(model, dtype, set(wide))
    model = model.to(dtype)
    for weight, whole in wide.items():
        weight.data = whole
    if torch.device(device).type == "cuda":
        set_defaults()
    return model.to(device)


def _kept_in_float32(model: EncoderDecoder, dtype: torch.dtype) -> dict[nn.Parameter, Tensor]:
    """Weights of a float32 model that stay float32 in a model of ``dtype``, each with its values."""
    if dtype != torch.float16 or not model.config.ffn_out_fp32:
        return {}
    layers = (*model.encoder.layers, *model.decoder.layers)
    return {layer.ffn.wo.weight: layer.ffn.wo.weight.data for layer in layers}


def _require_in_range(model: EncoderDecoder, dtype: torch.dtype, kept: Container[nn.Parameter]) -> None:
    """Raise ModelError if a finite weight, other than those ``kept``, would become infinite in ``dtype``."""
    most = torch.finfo(dtype).max
    if most >= torch.finfo(torch.bfloat16).max:
        return
    for name, weight in model.named_parameters():
        if weight not in kept and bool((weight.isfinite() & (weight.abs() > most)).any()):
            raise ModelError(
                f"weight {name} holds {weight[weight.isfinite()].abs().max():.3g}, beyond the {most:.3g} of fp16; give "
                "dtype=bf16 or dtype=fp32"
            )
