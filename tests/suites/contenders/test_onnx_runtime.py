"""ONNX Runtime decodes what our oracle does, from models that are converted once."""

import dataclasses
import importlib.util
from collections import Counter
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from strategies.search.options import Beam
from suites.contenders import contender, registry
from suites.contenders.exported.onnx_folder import onnx_name
from suites.contenders.running.agreement import padded
from suites.settings.inputs import make_inputs
from tests.suites.contenders import test_families
from tests.suites.contenders.conftest import SRC_IDS, STEPS, decode

FLOAT32, INT8 = "onnxruntime_float32", "onnxruntime_int8"
needs_it = pytest.mark.skipif(
    importlib.util.find_spec("onnxscript") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
)


@needs_it
def test_its_tokens_are_the_oracles_with_padding_and_after_ends(prepared, cell):
    rows = prepared(FLOAT32, cell).round(SRC_IDS, cell.stop).token_ids
    assert padded(rows, 0).tolist() == decode(cell).tolist()
    ended = [row[-1] == cell_eos(cell) for row in rows]
    assert [len(row) == STEPS for row in rows] == ([True, True] if cell.stop == "fixed" else [not end for end in ended])
    assert any(ended) == (cell.stop == "eos")


@needs_it
def test_one_sentence_of_one_id_and_one_token(prepared, fixed_cell):
    smallest = dataclasses.replace(fixed_cell, src_len=1, tgt_len=1, batch_size=1, src_ids=((3,),))
    rows = prepared(FLOAT32, smallest).round(smallest.src_ids, "fixed").token_ids
    assert rows == decode(smallest).tolist()


def cell_eos(cell):
    return dict(cell.model.shape)["eos_id"]


@needs_it
def test_features_prefix_and_rules_give_the_oracles_tokens(tmp_path):
    """Whisper has all three."""
    cell = test_families.cell_of("whisper", "eos")
    model = test_families.model_of(cell)
    ours = test_families.decode(model, cell)
    decoded = test_families.contender(FLOAT32, cell, model, tmp_path).round(
        make_inputs(cell, model.config).data(), "eos"
    )
    assert padded(decoded.token_ids, model.config.pad_id).tolist() == ours.tolist()
    assert len(decoded.marks_s) == 2 + max(map(len, decoded.token_ids))


def test_beam_search_is_refused(fixed_cell):
    reason = registry()[FLOAT32].unsearched(dataclasses.replace(fixed_cell, search=Beam(4)))
    assert reason == "it decodes by search=greedy alone, not by search=beam"


@needs_it
def test_every_round_marks_the_encoder_and_each_step(prepared, cell):
    decoder = prepared(FLOAT32, cell)
    first, second = (decoder.round(SRC_IDS, cell.stop) for _ in range(2))
    assert first.token_ids == second.token_ids
    assert len(second.marks_s) == 2 + max(map(len, second.token_ids))
    assert second.marks_s[0] == 0
    assert second.marks_s == sorted(second.marks_s)


@needs_it
def test_a_checkpoint_is_converted_once(prepared, checkpoint, fixed_cell, monkeypatch):
    import torch

    prepared(FLOAT32, fixed_cell)
    monkeypatch.delattr(torch.onnx, "export")
    registry()[FLOAT32]().prepare(checkpoint, fixed_cell)
    folder = checkpoint.with_name(onnx_name("onnxruntime"))
    assert sorted(file.name for file in folder.iterdir()) == ["source.onnx", "step.onnx", "weights"]


@needs_it
def test_the_embedding_is_stored_once_for_both_models(prepared, checkpoint, fixed_cell):
    import onnx

    prepared(FLOAT32, fixed_cell)
    places = []
    for name in ("source.onnx", "step.onnx"):
        graph = onnx.load(checkpoint.with_name(onnx_name("onnxruntime")) / name, load_external_data=False).graph
        stored = [{entry.key: entry.value for entry in tensor.external_data} for tensor in graph.initializer]
        places.append({(entry["offset"], int(entry["length"])) for entry in stored if entry})
    assert [length for _, length in set.intersection(*places)] == [29 * 14 * 4]


@needs_it
def test_attention_and_norms_are_single_operators_and_join_past_keys_themselves(prepared, checkpoint, fixed_cell):
    import onnx

    prepared(FLOAT32, fixed_cell)
    nodes = onnx.load(checkpoint.with_name(onnx_name("onnxruntime")) / "step.onnx", load_external_data=False).graph.node
    counted = Counter(node.op_type for node in nodes)
    assert (counted["Attention"], counted["RMSNormalization"], counted["Softmax"]) == (4, 7, 0)
    assert sum(len(node.output) == 3 for node in nodes if node.op_type == "Attention") == 2


@needs_it
@pytest.mark.parametrize("name", ["source.onnx", "step.onnx"])
def test_int8_weights_give_nearly_the_same(prepared, checkpoint, fixed_cell, name):
    import onnxruntime

    prepared(FLOAT32, fixed_cell)
    prepared(INT8, fixed_cell)
    files = {file.name for file in checkpoint.with_name(onnx_name("onnxruntime_int8")).iterdir()}
    assert files == {"source.onnx", "step.onnx", "weights"}
    found = []
    for kind in ("onnxruntime", "onnxruntime_int8"):
        session = onnxruntime.InferenceSession(checkpoint.with_name(onnx_name(kind)) / name)
        generator = np.random.default_rng(0)
        given = {entry.name: example(entry, generator) for entry in session.get_inputs()}
        found.append(session.run(None, given)[-1])
    exact, rounded = found
    assert 0 < np.abs(exact - rounded).max() < 0.1 * np.abs(exact).max()


def example(entry, generator):
    shape = [size if isinstance(size, int) else 7 for size in entry.shape]
    if "bool" in entry.type:
        return np.ones(shape, bool)
    if "int64" in entry.type:
        return np.full(shape, 5)
    return generator.standard_normal(shape, np.float32)


def test_without_the_library_it_is_skipped_with_the_command_that_installs_it(fixed_cell, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(contender, "version", missing)
    reason = registry()[FLOAT32].missing()
    assert reason == "onnxruntime is not installed; pip install 'decodebench[peers]'"
