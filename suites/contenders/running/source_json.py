"""The sources of a cell in a request to a contender's process: token ids as lists, features as the bytes of floats."""

from __future__ import annotations

import base64
from typing import Any

import numpy as np

from ...settings.inputs import Source

FLOAT = np.dtype("<f4")


def to_json(source: Source) -> dict[str, Any]:
    """Write sources as JSON data, features bit for bit.

    >>> to_json([(5, 6), (7,)])
    {'ids': [[5, 6], [7]]}
    """
    if not isinstance(source, np.ndarray):
        return {"ids": [list(row) for row in source]}
    content = np.ascontiguousarray(source, FLOAT).tobytes()
    return {"shape": source.shape, "floats": base64.b64encode(content).decode()}


def from_json(entries: dict[str, Any]) -> Source:
    """Read what ``to_json`` wrote."""
    if "ids" in entries:
        ids: list[list[int]] = entries["ids"]
        return ids
    return np.frombuffer(bytearray(base64.b64decode(entries["floats"])), FLOAT).reshape(entries["shape"])
