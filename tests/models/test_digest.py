"""What a checkpoint is known by: its tensors and configuration, read once, wherever the folder lies."""

import json
import os
import shutil

import pytest
import torch
from safetensors.torch import save_file

from strategies import ModelError
from strategies.models.checkpoints import digest as module
from strategies.models.checkpoints.digest import checkpoint_digest

TENSORS = {"a": torch.arange(6.0).view(2, 3), "b": torch.ones(4, dtype=torch.bfloat16)}


@pytest.fixture(autouse=True)
def _cache(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "final"
    path.mkdir()
    (path / "config.json").write_text(json.dumps({"d_model": 3, "_name_or_path": "here"}))
    save_file(TENSORS, path / "model.safetensors")
    return path


def digest(folder, **files):
    return checkpoint_digest(folder, files or dict.fromkeys(TENSORS, folder / "model.safetensors"))


def settle(folder):
    """As if it had been written long ago: the clock is put forward, as nobody can set a time of change back."""
    changed = max(path.stat().st_ctime for path in folder.iterdir())
    return lambda: changed + 10


def test_it_is_of_what_the_folder_holds(folder, tmp_path):
    first = digest(folder)
    assert len(first) == 16
    other = shutil.copytree(folder, tmp_path / "copy")
    assert digest(other) == first
    (other / "config.json").write_text('{"_name_or_path": "there",\n "d_model": 3}')
    assert digest(other) == first
    for name in TENSORS:
        save_file({name: TENSORS[name]}, other / f"{name}.safetensors", metadata={"format": "pt"})
    assert digest(other, **{name: other / f"{name}.safetensors" for name in TENSORS}) == first


@pytest.mark.parametrize(
    "change",
    [
        lambda d: save_file({**TENSORS, "a": TENSORS["a"].flip(0)}, d / "model.safetensors"),
        lambda d: save_file({**TENSORS, "a": TENSORS["a"].view(3, 2)}, d / "model.safetensors"),
        lambda d: save_file({**TENSORS, "b": TENSORS["b"].view(torch.float16)}, d / "model.safetensors"),
        lambda d: (d / "config.json").write_text('{"d_model": 4}'),
        lambda d: (d / "generation_config.json").write_text('{"eos_token_id": 2}'),
    ],
)
def test_another_model_in_the_same_folder_is_another(folder, change):
    first = digest(folder)
    change(folder)
    assert digest(folder) != first


def test_a_folder_is_read_once_until_it_changes(folder, monkeypatch):
    monkeypatch.setattr(module.time, "time", settle(folder))
    read, usual = [], module._pieces
    monkeypatch.setattr(module, "_pieces", lambda path, *span: read.append(path) or usual(path, *span))
    first = digest(folder)
    assert (digest(folder), len(read)) == (first, len(TENSORS))
    stat = (folder / "model.safetensors").stat()
    save_file({**TENSORS, "a": TENSORS["a"] + 1}, folder / "model.safetensors")
    os.utime(folder / "model.safetensors", ns=(stat.st_atime_ns, stat.st_mtime_ns))  # as a copy keeps the old time
    assert digest(folder) != first


def test_what_changed_a_moment_ago_is_not_kept(folder):
    """Another write within the clock's tick would not show."""
    digest(folder)
    assert not (folder.parent / "cache").exists()


def test_without_a_cache_to_write_to_it_is_the_same(folder, monkeypatch):
    monkeypatch.setattr(module.time, "time", settle(folder))
    (folder.parent / "cache").write_text("in the way")
    assert digest(folder) == digest(folder)


def test_a_damaged_cache_is_passed_over(folder, monkeypatch):
    monkeypatch.setattr(module.time, "time", settle(folder))
    first = digest(folder)
    (kept,) = (folder.parent / "cache").rglob("*.json")
    for text in ("", "[]", '{"files": 3}'):
        kept.write_text(text)
        assert digest(folder) == first


def test_what_cannot_be_read_is_one_line(folder):
    (folder / "model.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    with pytest.raises(ModelError, match="a header of its safetensors files is damaged; save the checkpoint again"):
        digest(folder)
    with pytest.raises(ModelError, match=r"cannot read .*lost.safetensors: No such file"):
        digest(folder, a=folder / "lost.safetensors")
