"""What a family of checkpoints tells the opener: how its ``config.json`` is read, and what its tensors are called."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from ..config import ModelConfig

Names = dict[str, list[str | None]]
"""Our name of a parameter -> the tensors that are stacked to make it, in this order. None is a part that the family
does not have, zeros here."""


@dataclass(frozen=True)
class Facts:
    """What a ``config.json`` says, its types checked.

    ``fields`` are those of ``ModelConfig`` but the ids, and but what the stored tensors settle: ``tie_head``,
    ``logits_bias``, whether positions are stored, and whether two stacks have one embedding. ``layers`` are the numbers
    of layers by their keys. ``default_ids`` are keys of special ids with the family's values. ``tied`` says that the
    head is the embedding unless another one is stored, and ``newest`` that the file is read as transformers 5 reads it.
    With ``needs_head`` the head must be stored, and with ``separate`` each stack may have an embedding of its own.
    """

    fields: Mapping[str, Any]
    layers: Mapping[str, int]
    default_ids: Mapping[str, Any]
    tied: bool
    newest: bool
    needs_head: bool = False
    separate: bool = False


@dataclass(frozen=True)
class Family:
    """One family of checkpoints.

    ``types`` are its values of ``model_type``, and ``with_head`` matches the classes that it may have been saved from,
    such as ``example``. ``facts`` reads a ``config.json``, ``raw_config`` writes one. ``shared`` is the name of the
    embedding of both stacks, ``of_stacks`` are the names of the encoder's and the decoder's. ``tables`` are the names
    of their sinusoids, where a folder may store them or leave them to be computed. ``strays`` are tensors that some
    versions stored and none reads. Folders saved without their head lack the ``prefix`` of every name.
    ``has_logits_bias`` says that the head may have a bias.
    """

    types: tuple[str, ...]
    example: str
    with_head: re.Pattern[str]
    facts: Callable[[Mapping[str, Any]], Facts]
    names: Callable[[ModelConfig], Names]
    raw_config: Callable[[ModelConfig], dict[str, Any]]
    shared: str
    of_stacks: tuple[str, str]
    head: str = "lm_head.weight"
    tables: tuple[str, str] | None = None
    has_logits_bias: bool = False
    strays: tuple[str, ...] = ()
    prefix: str = ""
