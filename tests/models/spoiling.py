"""A small sound T5 checkpoint, and ways to spoil it."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file

D, H, K, F, V, BUCKETS = 6, 2, 5, 7, 11, 8
CONFIG = {
    "model_type": "t5",
    "vocab_size": V,
    "d_model": D,
    "num_heads": H,
    "d_kv": K,
    "d_ff": F,
    "num_layers": 1,
    "relative_attention_num_buckets": BUCKETS,
}
INNER = {"q": (H * K, D), "k": (H * K, D), "v": (H * K, D), "o": (D, H * K)}


def tensor_shapes() -> dict[str, tuple[int, ...]]:
    """The tensors of a T5 with one layer a side, as the checkpoints of T5 name them."""
    shapes: dict[str, tuple[int, ...]] = {"shared.weight": (V, D)}
    for side in ("encoder", "decoder"):
        attentions = ["SelfAttention"] if side == "encoder" else ["SelfAttention", "EncDecAttention"]
        layer = f"{side}.block.0.layer"
        for i, attention in enumerate(attentions):
            shapes |= {f"{layer}.{i}.{attention}.{x}.weight": shape for x, shape in INNER.items()}
            shapes[f"{layer}.{i}.layer_norm.weight"] = (D,)
        shapes[f"{layer}.0.SelfAttention.relative_attention_bias.weight"] = (BUCKETS, H)
        last = len(attentions)
        shapes[f"{layer}.{last}.DenseReluDense.wi.weight"] = (F, D)
        shapes[f"{layer}.{last}.DenseReluDense.wo.weight"] = (D, F)
        shapes[f"{layer}.{last}.layer_norm.weight"] = (D,)
        shapes[f"{side}.final_layer_norm.weight"] = (D,)
    return shapes


def write_sound(path: Path) -> Path:
    """A folder with a sound checkpoint, for a test to spoil."""
    path.mkdir()
    (path / "config.json").write_text(json.dumps(CONFIG))
    save_file({name: torch.ones(shape) for name, shape in tensor_shapes().items()}, path / "model.safetensors")
    return path


def configure(folder: Path, **changes: Any) -> None:
    """Rewrite config.json; a value of ... removes the key."""
    config = {key: value for key, value in {**CONFIG, **changes}.items() if value is not ...}
    (folder / "config.json").write_text(json.dumps(config))


def generation(folder: Path, content: dict[str, Any]) -> None:
    (folder / "generation_config.json").write_text(json.dumps(content))


def write(folder: Path, config: str) -> None:
    (folder / "config.json").write_text(config)


def replace(path: Path, make: Callable[[Path], object]) -> None:
    path.unlink()
    make(path)


def retensor(folder: Path, **changes: torch.Tensor | None) -> None:
    """Rewrite model.safetensors with some tensors changed; None removes one."""
    tensors = {**load_file(folder / "model.safetensors"), **changes}
    save_file({name: tensor for name, tensor in tensors.items() if tensor is not None}, folder / "model.safetensors")


def truncate(path: Path, size: int) -> None:
    path.write_bytes(path.read_bytes()[:size])


def shard(folder: Path, index: str) -> None:
    """Replace the single file by the text of a sharded index."""
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors.index.json").write_text(index)


def assert_one_line(message: str, *named: str) -> None:
    assert "\n" not in message, message
    for name in named:
        assert name in message, f"{name!r} is not in {message!r}"
