"""A checkpoint as two OpenVINO models, made once and kept beside it: ``source.xml`` and ``step.xml``.

The step keeps K and V of its own rows as state. A state is read, reordered and concatenated with the new row, and read
by attention: the form that OpenVINO's CPU plugin computes in one call, which appends in place. It looks for the
reordering too, which beam search would need, and computes attention as several products without it.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import nn
from torch.jit._trace import TracerWarning

from strategies import load_model

from .example import example, layer_names
from .made_folder import made_folder, versioned
from .sides import SourceSide, StepSide

if TYPE_CHECKING:
    from strategies import ModelConfig

SOURCE, STEP = "source.xml", "step.xml"


def openvino_name(kind: str) -> str:
    """The name of the folder of ``kind``, "openvino" or "openvino_int8", with a digest of what converts it."""
    return versioned(kind, "torch", "openvino")


def openvino_folder(checkpoint: Path) -> Path:
    """The folder of the checkpoint's OpenVINO models in float32; it is converted if that is not there yet."""
    return made_folder(checkpoint, openvino_name("openvino"), lambda part: _convert(checkpoint, part))


def openvino_int8_folder(checkpoint: Path) -> Path:
    """The folder of the same models with int8 weights in matrix products, each with one scale per output."""
    return made_folder(
        checkpoint, openvino_name("openvino_int8"), lambda part: _quantize(openvino_folder(checkpoint), part)
    )


def _convert(checkpoint: Path, folder: Path) -> None:
    import openvino

    model = load_model(checkpoint)
    config, layers = model.config, model.config.decoder_layers
    source, mask_BS, token_B1, cross, past = example(config)
    features, rows = config.mel_bins is not None, [-1, config.kv_heads, -1, config.d_kv]
    read = _converted(
        SourceSide(model),
        (source, mask_BS),
        {"source": [-1, *source.shape[1:]] if features else [-1, -1], "mask": [-1, -1]},
        layer_names("cross", layers),
    )
    step = _converted(
        StepSide(model),
        (token_B1, mask_BS, cross, past),
        {"token": [-1, 1], "mask": [-1, -1]}
        | dict.fromkeys(layer_names("cross", layers) + layer_names("past", layers), rows),
        ["logits", *layer_names("present", layers)],
    )
    _keep_rows(step, config)
    folder.mkdir()
    for name, converted in ((SOURCE, read), (STEP, step)):
        openvino.save_model(converted, folder / name, compress_to_fp16=False)


def _converted(module: nn.Module, given: tuple[Any, ...], shapes: dict[str, list[int]], outputs: list[str]) -> Any:
    """A module as an OpenVINO model, whose inputs have these names and ``shapes``; -1 is any length.

    The frontend is called directly, because ``openvino.convert_model`` reports each call to its vendor.
    """
    import openvino
    from openvino.frontend import FrontEndManager
    from openvino.frontend.pytorch.ts_decoder import TorchScriptPythonDecoder

    frontend = FrontEndManager().load_by_framework("pytorch")
    with warnings.catch_warnings(), torch.no_grad():
        warnings.filterwarnings("ignore", category=TracerWarning)
        warnings.filterwarnings("ignore", ".torch.jit", DeprecationWarning)  # by which the frontend reads a module
        decoder = TorchScriptPythonDecoder(module.eval(), example_input=given)
        converted = frontend.convert(frontend.load(decoder))
    for port, (name, shape) in zip(converted.inputs, shapes.items(), strict=True):
        port.get_tensor().set_names({name})
        port.get_node().set_partial_shape(openvino.PartialShape(shape))
    for port, name in zip(converted.outputs, outputs, strict=True):
        port.get_tensor().set_names({name})
    converted.validate_nodes_and_infer_types()
    return converted


def _keep_rows(step: Any, config: ModelConfig) -> None:
    """Turn past and present rows into state that begins empty, and reorder it by a new input ``parent``, int32 [B]."""
    import openvino
    from openvino import opset13
    from openvino._offline_transformations import apply_make_stateful_transformation

    past, present = (layer_names(kind, config.decoder_layers) for kind in ("past", "present"))
    apply_make_stateful_transformation(step, dict(zip(past, present, strict=True)))
    parent = opset13.parameter([-1], dtype=openvino.Type.i32, name="parent")
    parent.output(0).get_tensor().set_names({"parent"})
    step.add_parameters([parent])
    rows = opset13.concat([opset13.shape_of(parent), np.array([config.kv_heads, 0, config.d_kv])], axis=0)
    empty = opset13.broadcast(np.float32(0), rows)
    for state in _nodes(step, "ReadValue"):
        readers = state.output(0).get_target_inputs()
        reordered = opset13.gather(state.output(0), parent.output(0), np.int64(0))
        for reader in readers:
            reader.replace_source_output(reordered.output(0))
        state.set_arguments([empty])
    for attention in _nodes(step, "ScaledDotProductAttention"):
        keys, mask = attention.input_value(1), attention.input_value(3)
        if keys.get_node().get_type_name() == "Concat" and mask.get_partial_shape().rank.get_length() == 0:
            # The operation that keeps rows reads a mask of one element as if there were one for each key.
            held_1 = opset13.gather(opset13.shape_of(keys), np.array([2]), np.int64(0))
            zeros = opset13.broadcast(np.float32(0), opset13.concat([np.array([1, 1, 1]), held_1], axis=0))
            attention.input(3).replace_source_output(zeros.output(0))
    step.validate_nodes_and_infer_types()


def _nodes(model: Any, kind: str) -> list[Any]:
    return [node for node in model.get_ordered_ops() if node.get_type_name() == kind]


def _quantize(folder: Path, part: Path) -> None:
    """Write weights that matrix products read as int8 times a scale per output, which is their largest value by 127."""
    import openvino
    from openvino import opset13

    part.mkdir()
    for name in (SOURCE, STEP):
        model = openvino.Core().read_model(folder / name)
        for product in _nodes(model, "MatMul"):
            weight = product.input_value(1).get_node()
            if weight.get_type_name() != "Constant" or len(weight.shape) != 2:
                continue
            values = weight.data
            axis = 1 if product.get_attributes()["transpose_b"] else 0
            scale = np.maximum(np.abs(values).max(axis, keepdims=True), np.finfo(np.float32).tiny) / np.float32(127)
            small = opset13.constant(np.round(values / scale).astype(np.int8))
            scaled = opset13.multiply(opset13.convert(small, "f32"), opset13.constant(scale))
            product.input(1).replace_source_output(scaled.output(0))
        openvino.save_model(model, part / name, compress_to_fp16=False)
