"""Find the files of a checkpoint folder that hold its weights, and say what a folder is that holds none."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from ..config import ModelError
from ..message_text import shown
from .regular_file import exists, read_object

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?")
OTHER_WEIGHTS = ("pytorch_model.bin", "pytorch_model.bin.index.json")
FOREIGN_WEIGHTS = ("tf_model.h5", "flax_model.msgpack", "model.ckpt.index")
GIVE = "give a folder with config.json and model.safetensors, as save_pretrained writes it"


def existing_folder(path: str | Path) -> Path:
    """``path`` with ``~`` expanded. Raises ModelError if it is not a folder, or cannot be looked at."""
    try:
        folder = Path(path).expanduser()
    except RuntimeError as error:
        raise ModelError(f"model.checkpoint={path}: {error}; give the folder's whole path") from None
    try:
        found = folder.is_dir()
    except OSError as error:
        raise ModelError(
            f"cannot look at model.checkpoint={shown(str(path))}: {error.strerror}; give a folder that can be read"
        ) from None
    if found:
        return folder
    remedy = "give one with config.json and model.safetensors"
    if HUB_ID.fullmatch(str(path)):
        remedy += f"; a model of the Hugging Face hub comes by `hf download {path} --local-dir DIR`"
    raise ModelError(f"model.checkpoint={folder} is not a folder; {remedy}")


def require_a_model(folder: Path) -> None:
    """Raise ModelError if a folder does not hold one whole model, but an adapter, a hub cache or other folders, say."""
    if exists(folder / "adapter_config.json"):
        raise ModelError(
            f"{folder} holds a LoRA adapter (adapter_config.json), which is no whole model; merge it by peft's "
            "merge_and_unload(), save that by save_pretrained, and give its folder"
        )
    if exists(folder / "config.json"):
        return
    if snapshot := next(_snapshots(folder), None):
        raise ModelError(f"{folder} is a cache of the Hugging Face hub; give a snapshot in it, such as {snapshot}")
    below = next((child for child in _children(folder) if exists(child / "config.json")), None)
    if below is not None:
        raise ModelError(f"{folder / 'config.json'} does not exist; give a folder that has one, such as {below}")
    raise ModelError(f"{folder / 'config.json'} does not exist; {GIVE}")


def weight_files(folder: Path, of_speech: bool = False) -> list[Path]:
    """The safetensors files of a folder: one, or those that an index names. Raises ModelError if there is none.

    ``of_speech`` says that its sources are features, for the command that converts other files.
    """
    single, index = folder / "model.safetensors", folder / "model.safetensors.index.json"
    if exists(single):
        return [single]
    if exists(index):
        return [folder / name for name in _shards(index)]
    if any(exists(folder / name) for name in OTHER_WEIGHTS):
        raise ModelError(
            f"{folder} holds no model.safetensors, but pytorch_model.bin; convert it: {conversion(folder, of_speech)}"
        )
    if foreign := next((name for name in FOREIGN_WEIGHTS if exists(folder / name)), ""):
        raise ModelError(
            f"{folder} holds no model.safetensors, but {foreign}, the weights of another framework; load them by a "
            "version of transformers that reads them and save the model as safetensors"
        )
    raise ModelError(
        f"{folder} holds no model.safetensors and no model.safetensors.index.json; save the model as safetensors"
    )


def conversion(folder: Path, of_speech: bool = False) -> str:
    """A shell command that saves a folder's model as safetensors, in a folder beside it."""
    target = folder.with_name(folder.name + "-safetensors")
    name = "AutoModelForSpeechSeq2Seq" if of_speech else "AutoModelForSeq2SeqLM"
    program = (
        f"import sys; from transformers import {name} as M; M.from_pretrained(sys.argv[1]).save_pretrained(sys.argv[2])"
    )
    return shlex.join(["python", "-c", program, str(folder), str(target)])


def _shards(index: Path) -> list[str]:
    """The files that an index names. Raises ModelError if it names none, or one that is not within the folder."""
    remedy = "save the checkpoint again"
    files = read_object(index, remedy).get("weight_map")
    if not isinstance(files, dict) or not files or not all(isinstance(name, str) for name in files.values()):
        raise ModelError(f"{index} holds no weight_map of tensor names to files; {remedy}")
    for name in files.values():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or not path.name or not name.isprintable():
            raise ModelError(
                f"{index} names {shown(name)} as a file of weights; give names of files within the folder: {remedy}"
            )
    return sorted(set(files.values()))


def _snapshots(folder: Path) -> Iterator[Path]:
    """Folders of whole models in a cache of the hub, in the folder of one of its models, or one level above these."""
    for pattern in ("snapshots/*", "models--*/snapshots/*", "hub/models--*/snapshots/*"):
        yield from (child for child in _children(folder, pattern) if exists(child / "config.json"))


def _children(folder: Path, pattern: str = "*") -> list[Path]:
    try:
        return sorted(folder.glob(pattern))
    except OSError:
        return []
