"""A checkpoint as two ONNX models, made once and kept beside it: ``source.onnx`` and ``step.onnx``.

Both read their weights from the file ``weights``, in which what they share, as the embedding, is stored once.
"""

from __future__ import annotations

import hashlib
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from strategies import load_model

from .example import example, layer_names
from .made_folder import made_folder, versioned
from .onnx_past import join_in_attention
from .sides import SourceSide, StepSide

if TYPE_CHECKING:
    import onnx_ir

SOURCE, STEP, WEIGHTS = "source.onnx", "step.onnx", "weights"
OPSET = 23
"""The first opset that has attention and the RMS norm as operators, which ONNX Runtime computes in one call each."""
ALIGNMENT = 1 << 12
"""Bytes; weights begin at multiples of it, so that their file can be mapped into memory."""
LARGE = 1 << 10
"""Bytes; smaller weights are stored in the models."""


def onnx_name(kind: str) -> str:
    """The name of the folder of ``kind``, "onnxruntime" or "onnxruntime_int8", with a digest of what converts it."""
    return versioned(kind, "torch", "onnxscript", "onnx", "onnxruntime")


def onnx_folder(checkpoint: Path) -> Path:
    """The folder of the checkpoint's ONNX models in float32; it is converted if that is not there yet."""
    return made_folder(checkpoint, onnx_name("onnxruntime"), lambda part: _export(checkpoint, part))


def onnx_int8_folder(checkpoint: Path) -> Path:
    """The folder of the same models with int8 weights in matrix products, each with one scale per output.

    The rows that these are multiplied with are quantized on the fly. The embedding stays float32.
    """
    return made_folder(checkpoint, onnx_name("onnxruntime_int8"), lambda part: _quantize(onnx_folder(checkpoint), part))


def _export(checkpoint: Path, folder: Path) -> None:
    model = load_model(checkpoint)
    config, layers = model.config, model.config.decoder_layers
    any_length = torch.export.Dim.DYNAMIC
    sources = {0: any_length} | ({} if config.mel_bins is not None else {1: any_length})
    masks, rows = {0: any_length, 1: any_length}, {0: any_length, 2: any_length}
    source, mask_BS, token_B1, cross, past = example(config)
    one, other = SourceSide(model), StepSide(model)
    cross_names, past_names = layer_names("cross", layers), layer_names("past", layers)
    given = (source, mask_BS), (token_B1, mask_BS, cross, past)
    read = _converted(one, given[0], (sources, masks), ["source", "mask"], cross_names)
    step = _converted(
        other,
        given[1],
        ({0: any_length}, masks, [rows] * len(cross), [rows] * len(past)),
        ["token", "mask", *cross_names, *past_names],
        ["logits", *layer_names("present", layers)],
    )
    joined = join_in_attention(step.graph)
    assert joined == layers, f"{joined} of {layers} self-attentions take past keys"
    folder.mkdir()
    _save(folder, {SOURCE: read, STEP: step})


def _converted(
    module: nn.Module, given: tuple[Any, ...], shapes: tuple[Any, ...], inputs: list[str], outputs: list[str]
) -> onnx_ir.Model:
    with warnings.catch_warnings():
        # torch's own: it copies a specification of its arguments that it deprecates.
        warnings.filterwarnings("ignore", ".isinstance.treespec, LeafSpec", FutureWarning)
        program = torch.onnx.export(
            module.eval(),
            given,
            dynamo=True,
            opset_version=OPSET,
            dynamic_shapes=shapes,
            input_names=inputs,
            output_names=outputs,
            verbose=False,
        )
    assert program is not None
    return program.model


def _save(folder: Path, models: Mapping[str, onnx_ir.Model]) -> None:
    """Write models whose large weights are all in one file, each once. Small ones stay with their model."""
    import onnx_ir

    found: dict[bytes, tuple[int, int]] = {}
    with (folder / WEIGHTS).open("wb") as file:
        for model in models.values():
            for name, value in model.graph.initializers.items():
                tensor = value.const_value
                if tensor is None or tensor.nbytes < LARGE:
                    continue
                content = tensor.tobytes()
                key = hashlib.sha256(content).digest()
                if key not in found:
                    file.write(b"\0" * (-file.tell() % ALIGNMENT))
                    found[key] = file.tell(), len(content)
                    file.write(content)
                value.const_value = onnx_ir.ExternalTensor(
                    WEIGHTS,
                    *found[key],
                    tensor.dtype,
                    shape=onnx_ir.Shape(tensor.shape.numpy()),
                    name=name,
                    base_dir=folder,
                )
    for name, model in models.items():
        onnx_ir.save(model, folder / name)


def _quantize(folder: Path, part: Path) -> None:
    """Quantize both models. Weights of the first result are files beside it, since a model holds 2 GB at most."""
    import onnx
    import onnx_ir
    from onnxruntime.quantization import QuantType, quantize_dynamic

    first = part / "quantized"
    first.mkdir(parents=True)
    for name in (SOURCE, STEP):
        quantize_dynamic(
            onnx.load(folder / name),
            first / name,
            use_external_data_format=True,
            op_types_to_quantize=["MatMul"],
            per_channel=True,
            weight_type=QuantType.QInt8,
            extra_options={"MatMulConstBOnly": True},
        )
    _save(part, {name: onnx_ir.from_proto(onnx.load(first / name)) for name in (SOURCE, STEP)})
    shutil.rmtree(first)
