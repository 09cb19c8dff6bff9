"""OpenVINO decodes what our oracle does, from models that are converted once."""

import dataclasses
import importlib.util
from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from suites.contenders import contender, registry
from suites.contenders.exported import openvino_folder
from suites.contenders.running.agreement import padded
from suites.settings.inputs import make_inputs
from tests.suites.contenders import test_families
from tests.suites.contenders.conftest import SRC_IDS, STEPS, decode

FLOAT32, INT8 = "openvino_float32", "openvino_int8"
needs_it = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
)


@needs_it
def test_its_tokens_are_the_oracles_with_padding_and_after_ends(prepared, cell):
    expected = decode(cell)
    for _ in range(2):  # the second batch begins without rows of the first
        rows = prepared(FLOAT32, cell).round(SRC_IDS, cell.stop).token_ids
        assert padded(rows, 0).tolist() == expected.tolist()
        assert sorted(map(len, rows))[0] < STEPS if cell.stop == "eos" else {*map(len, rows)} == {STEPS}


@needs_it
def test_every_round_marks_the_encoder_and_each_step(prepared, cell):
    decoded = prepared(FLOAT32, cell).round(SRC_IDS, cell.stop)
    assert len(decoded.marks_s) == 2 + max(map(len, decoded.token_ids))
    assert decoded.marks_s[0] == 0
    assert decoded.marks_s == sorted(set(decoded.marks_s))


@needs_it
@pytest.mark.parametrize("architecture", ["umt5", "whisper"])
def test_rules_prefix_and_families_give_the_oracles_tokens(architecture, tmp_path):
    """UMT5 has biases of each layer; Whisper a prefix, stored positions, features and rules of choice."""
    cell = test_families.cell_of(architecture, "eos")
    model = test_families.model_of(cell)
    ours = test_families.decode(model, cell)
    decoder = test_families.contender(FLOAT32, cell, model, tmp_path)
    rows = decoder.round(make_inputs(cell, model.config).data(), "eos").token_ids
    assert padded(rows, model.config.pad_id).tolist() == ours.tolist()


@needs_it
def test_one_sentence_of_one_id_and_one_token(prepared, fixed_cell):
    smallest = dataclasses.replace(fixed_cell, src_len=1, tgt_len=1, batch_size=1, src_ids=((3,),))
    rows = prepared(FLOAT32, smallest).round(smallest.src_ids, "fixed").token_ids
    assert rows == decode(smallest).tolist()


@needs_it
def test_a_checkpoint_is_converted_once(prepared, checkpoint, fixed_cell, monkeypatch):
    prepared(FLOAT32, fixed_cell)
    monkeypatch.delattr(openvino_folder, "_converted")
    registry()[FLOAT32]().prepare(checkpoint, fixed_cell)


@needs_it
def test_attention_over_its_own_rows_is_one_operation_that_keeps_them(prepared, fixed_cell):
    step = prepared(FLOAT32, fixed_cell)._step.get_compiled_model().get_runtime_model()
    kinds = [str(node.get_rt_info()["layerType"].astype(str)) for node in step.get_ops()]
    assert kinds.count("ScaledDotProductAttention") == 2, kinds


@needs_it
def test_int8_weights_give_nearly_the_same_logits(prepared, fixed_cell):
    found = []
    for name in (FLOAT32, INT8):
        decoder = prepared(name, fixed_cell)
        decoder.round(SRC_IDS, "fixed")
        decoder._step.reset_state()
        decoder._step.infer({"token": np.full((2, 1), 5)})
        found.append(decoder._step.get_tensor("logits").data.copy())
    exact, rounded = found
    assert 0 < np.abs(exact - rounded).max() < 0.1 * np.abs(exact).max()


def test_without_the_library_it_is_skipped_with_the_command_that_installs_it(fixed_cell, monkeypatch):
    def missing(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr(contender, "version", missing)
    assert registry()[INT8].missing() == "openvino is not installed; pip install 'decodebench[peers]'"
