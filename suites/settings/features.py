"""Reading of a user's file of features, an array [sentences, mel, 2 S] written by numpy."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .config import ConfigError
from .rules import shown

if TYPE_CHECKING:
    from strategies import ModelConfig

Features = NDArray[np.float32]
REMEDY = "write an array of floats [sentences, mel, frames] by numpy.save"


@dataclass(frozen=True)
class FeatureFile:
    """A file of features: its absolute path, the shape [B, mel, 2 S] of its array, and a digest of what it holds.

    The digest is of the shape and of the values in float32, so a copy of the file in another place has the same.
    """

    path: str
    shape: tuple[int, ...]
    content: str

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
        found = np.lib.format.open_memmap(file, mode="r")
    except OSError as error:
        raise ConfigError(f"{told} cannot be read ({error.strerror}); {REMEDY}") from None
    except ValueError as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        raise ConfigError(f"{told} is no .npy file of numbers ({shown(reason)}); {REMEDY}") from None
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


def file_of(path: str) -> FeatureFile:
    """Read a file and identify it. Raises ConfigError as ``read_features`` does."""
    features = read_features(path)
    return FeatureFile(str(Path(path).expanduser().resolve()), features.shape, _digest(features))


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
