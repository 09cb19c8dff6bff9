"""Reading of a user's file of features, an array [sentences, mel, 2 S] written by numpy."""

from __future__ import annotations

import hashlib
import math
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .config import ConfigError
from .rules import shown

if TYPE_CHECKING:
    from strategies import ModelConfig

Features = NDArray[np.float32]
REMEDY = "write an array of floats [sentences, mel, frames] by numpy.save"
ZIP = b"PK\x03\x04"
HEADERS = {(1, 0): npy.read_array_header_1_0, (2, 0): npy.read_array_header_2_0}
"""Version of a .npy file -> what reads its header; numpy writes the next version only for names of fields."""


@dataclass(frozen=True)
class FeatureFile:
    """A file of features: its absolute path, the shape [B, mel, 2 S] of its array, and a digest of what it holds.

    The digest is of the shape and of the values in float32, so a copy of the file in another place has the same.
    ``largest`` is the largest of the values without their signs.
    """

    path: str
    shape: tuple[int, ...]
    content: str
    largest: float = 0.0

    @property
    def positions(self) -> int:
        """S, the positions of a source, each of two frames."""
        return max(1, self.shape[2] // 2)

    @classmethod
    def of(cls, entries: dict[str, Any] | None) -> FeatureFile | None:
        """Make it from its JSON form."""
        return None if entries is None else cls(**{**entries, "shape": tuple(entries["shape"])})


def read_features(path: str) -> Features:
    """Read features of any float type as float32. Nothing in the file is executed.

    Raises ConfigError if the file cannot be read, holds no array of floats of three dimensions, or one with no sentence
    or with values that are not finite in float32.
    """
    told = f"src_features={shown(path)}"
    file = Path(path).expanduser()
    if file.exists() and not file.is_file():
        raise ConfigError(f"{told} is no file; {REMEDY}")
    try:
        with file.open("rb") as opened:
            found = _read_array(told, opened, file.stat().st_size)
    except OSError as error:
        raise ConfigError(f"{told} cannot be read ({error.strerror}); {REMEDY}") from None
    if found.ndim != 3 or found.dtype.kind != "f":
        raise ConfigError(f"{told} holds {found.dtype} of shape {list(found.shape)}; {REMEDY}")
    if not found.size:
        raise ConfigError(f"{told} is empty, of shape {list(found.shape)}; {REMEDY}")
    with np.errstate(over="ignore"):
        features = np.array(found, dtype="<f4", order="C")
    if not np.isfinite(features).all():
        place = np.argwhere(~np.isfinite(features))[0].tolist()
        raise ConfigError(f"{told} holds {found[tuple(place)]} at {place}; give values that are finite in float32")
    return features


def _read_array(told: str, opened: BinaryIO, size: int) -> NDArray[Any]:
    """Read the one array of a .npy file of ``size`` bytes. Raises ConfigError for any other file, OSError."""
    start = opened.read(len(npy.MAGIC_PREFIX))
    if not start:
        raise ConfigError(f"{told} is an empty file; {REMEDY}")
    if start.startswith(ZIP):
        raise ConfigError(f"{told} is an archive (.npz or .pt), and not one array as .npy holds it; {REMEDY}")
    if start != npy.MAGIC_PREFIX:
        raise ConfigError(f"{told} is no .npy file, as it does not begin as one; {REMEDY}")
    opened.seek(0)
    try:
        shape, by_columns, dtype = HEADERS[npy.read_magic(opened)](opened)
        if any(length < 0 for length in shape):
            raise ValueError
    except (KeyError, ValueError):
        raise ConfigError(f"{told} is a .npy file whose header cannot be read; {REMEDY}") from None
    if dtype.hasobject:
        raise ConfigError(f"{told} holds Python objects; {REMEDY}")
    whole = opened.tell() + math.prod(shape) * dtype.itemsize
    if size != whole:
        wrong = "is cut short" if size < whole else "goes on after its array"
        raise ConfigError(f"{told} {wrong}: it has {size} bytes, and its header tells of {whole}; {REMEDY}")
    return np.fromfile(opened, dtype, math.prod(shape)).reshape(shape, order="F" if by_columns else "C")


def file_of(path: str) -> FeatureFile:
    """Read a file and identify it. Raises ConfigError as ``read_features`` does."""
    features = read_features(path)
    largest = float(np.abs(features).max())
    return FeatureFile(str(Path(path).expanduser().resolve()), features.shape, _digest(features), largest)


def features_of(file: FeatureFile) -> Features:
    """Read the features of a file again. Raises ConfigError if they are others than they were."""
    features = read_features(file.path)
    if _digest(features) != file.content:
        raise ConfigError(f"src_features={shown(file.path)} was changed since the run was planned; start a new run")
    return features


def _digest(features: Features) -> str:
    found = hashlib.sha256(repr(features.shape).encode())
    found.update(features.data)
    return found.hexdigest()


def why_other_source(config: ModelConfig, src_ids: object, file: FeatureFile | None) -> str:
    """Say why a model cannot read what the files hold, in one line; "" where it can."""
    if config.mel_bins is None:
        return (
            ""
            if file is None
            else ("src_features are features, and the model reads token ids; give src_ids=FILE, or leave it out")
        )
    if src_ids is not None:
        return "the model reads features, and no token ids or texts; give src_features=FILE.npy, or leave them out"
    from strategies.models.sources import source_shape

    expected = source_shape(config, 0, config.src_positions or 0)[1:]
    if file is None or file.shape[1:] == expected:
        return ""
    return (
        f"src_features={shown(file.path)} holds an array {list(file.shape)}; the model reads "
        f"[sentences, {expected[0]}, {expected[1]}]: mel bins, and two frames for each position"
    )
