"""Names of the models of a run, lengthened where different models have the same name."""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterator, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from ..store.cell_folder import CellResult
from ..words.labels import plain

Model = Mapping[str, Any]
"""The entry ``model`` of a cell.json."""


def model_names(cells: Sequence[CellResult]) -> list[str]:
    """Return the name of each cell's model. Different models have different names.

    Checkpoints in folders of the same name are distinguished by their parent folders, random models by their sizes.
    """
    named: dict[str, dict[Hashable, Model]] = {}
    for cell in cells:
        named.setdefault(_name(cell), {}).setdefault(_identity(cell.cell["model"]), cell.cell["model"])
    told: dict[Hashable, str] = {}
    for name, models in named.items():
        labels = [name] if len(models) == 1 else _lengthened(name, list(models.values()))
        for identity, label in zip(models, labels, strict=True):
            told[name, identity] = label if label not in told.values() else f"{label} {len(told)}"
    return [told[_name(cell), _identity(cell.cell["model"])] for cell in cells]


def checkpoints_told(cells: Sequence[CellResult]) -> list[str]:
    """Make one line per folder that weights were read from: the model's name, the path, and a digest of the content."""
    lines = []
    for name, cell in zip(model_names(cells), cells, strict=True):
        model = cell.cell["model"]
        if path := model.get("checkpoint"):
            content = f", content {model['content']}" if model.get("content") else ""
            lines.append(f"model {name}: {path}{content}")
    return list(dict.fromkeys(lines))


def _name(cell: CellResult) -> str:
    return plain(cell.cell["model"]["name"])


def _identity(model: Model) -> str:
    """Key that is equal for equal models. It identifies a checkpoint by its digest, or by its path if there is none."""
    held = model.get("content") or model.get("checkpoint")
    return json.dumps([model.get("source"), held, model.get("shape")], default=str)


def _lengthened(name: str, models: Sequence[Model]) -> list[str]:
    """Make different names for different models that share ``name``."""
    tails = iter(_tails([str(model["checkpoint"]) for model in models if model.get("checkpoint")]))
    sizes = [dict(model.get("shape") or ()) for model in models]
    every = {key for shape in sizes for key in shape}
    apart = sorted(key for key in every if len({str(shape.get(key)) for shape in sizes}) > 1)
    labels = []
    for model, shape in zip(models, sizes, strict=True):
        if model.get("checkpoint"):
            tail = next(tails)
            labels.append(tail if PurePath(tail).name == name else f"{name} ({tail})")
        else:
            told = ",".join(f"{key}={shape[key]}" for key in apart if key in shape)
            labels.append(f"{name}({told})" if told else name)
    return [_with_content(label, model, labels) for label, model in zip(labels, models, strict=True)]


def _with_content(label: str, model: Model, labels: Sequence[str]) -> str:
    """Add the digest to a label that several models have: one folder held one after the other."""
    return f"{label} {model['content']}" if labels.count(label) > 1 and model.get("content") else label


def _tails(paths: Sequence[str]) -> Iterator[str]:
    """The last parts of each path, as few as are needed to distinguish the paths.

    >>> list(_tails(["/x/a/final", "/x/b/final"]))
    ['a/final', 'b/final']
    """
    parts = [PurePath(path).parts for path in paths]
    count = 1
    while len({part[-count:] for part in parts}) < len(set(parts)):
        count += 1
    return ("/".join(part[-count:]).replace("//", "/", 1) for part in parts)
