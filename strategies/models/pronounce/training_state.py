"""The checkpoints of a training run: they are written whole or not at all, and read back to resume or as a model.

A checkpoint holds ``step``, ``steps``, ``model``, ``optimizers``, ``recipe`` and ``seconds``, the time spent so far.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch

from ..config import ModelError
from ..encoder_decoder import EncoderDecoder
from ..message_text import first_line
from . import model_config

State = dict[str, Any]


def save(state: State, path: Path) -> None:
    """Write a checkpoint whole or not at all."""
    part = path.with_suffix(".part")
    torch.save(state, part)
    part.replace(path)


def to_resume(folder: Path, steps: int) -> State | None:
    """The state that a run of ``steps`` resumes from: its own cool-down, else any run's constant phase, else None.

    Raises ModelError for a checkpoint of an earlier version.
    """
    for path in (folder / "cooled.pt", folder / "constant.pt"):
        if path.exists():
            state: State = torch.load(path, weights_only=True)
            if "optimizers" not in state:
                raise ModelError(f"{path} is of an earlier version and cannot be resumed; give another --dir")
            if path.name == "constant.pt" or state["steps"] == steps:
                return state
    return None


def load_trained(path: Path) -> tuple[EncoderDecoder, State]:
    """The model of a checkpoint, in inference mode, and the checkpoint itself. Raises ModelError if unreadable."""
    model = EncoderDecoder(model_config())
    try:
        state: State = torch.load(path, weights_only=True)
        model.load_state_dict(state["model"])
    except Exception as error:  # whatever the unpickler, the zip reader and the disk raise
        raise ModelError(f"cannot load {path} ({first_line(error)}); give a checkpoint that train wrote") from None
    return model.eval().requires_grad_(False), state
