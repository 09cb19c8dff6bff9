"""Features reach a contender's process bit for bit, and token ids as they were."""

import dataclasses
import json
from types import SimpleNamespace

import numpy as np
import pytest

from strategies import ModelConfig
from suites.contenders.contender import Contender, Decoded
from suites.contenders.ct2_whisper import placed
from suites.contenders.running import child
from suites.contenders.running.source_json import from_json, to_json
from suites.settings.cells import make_cell
from suites.settings.config import RunConfig
from suites.settings.inputs import make_inputs


def through_a_pipe(source):
    return from_json(json.loads(json.dumps(to_json(source))))


def test_features_are_equal_to_the_bit():
    tiny = np.finfo(np.float32).smallest_subnormal
    features = np.array([[[0.1, -0.0, tiny], [1 / 3, 3.4e38, -2.5]]], dtype=np.float32)
    found = through_a_pipe(features)
    assert found.dtype == np.float32
    assert found.shape == features.shape
    assert found.tobytes() == features.tobytes()
    found += 1  # a library may want an array that it can write to


@pytest.mark.parametrize("source", [[[5, 6], [7]], ((5, 6), (7,))])
def test_token_ids_are_lists(source):
    assert through_a_pipe(source) == [[5, 6], [7]]


class Echo(Contender):
    def prepare(self, checkpoint, cell):
        self.cell = cell

    def round(self, source, stop):
        self.given = source
        return Decoded([[1]], [0.0, 0.1, 0.2])


def test_a_contender_gets_the_features_of_the_cells_file_and_the_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(child, "wait_until_quiet", lambda: None)
    np.save(tmp_path / "f.npy", np.random.default_rng(0).standard_normal((1, 4, 12)))
    sizes = {"vocab_size": 60, "d_model": 16, "num_heads": 2, "d_kv": 8, "d_ff": 32, "encoder_layers": 1}
    features = {"decoder_layers": 1, "mel_bins": 4, "src_positions": 6, "tgt_positions": 9, "architecture": "whisper"}
    model = {"name": "w", **sizes, **features}
    cell = make_cell(RunConfig(model=model, src_features=str(tmp_path / "f.npy"), tgt_len=1, device="cpu", threads=1))
    inputs = make_inputs(cell, ModelConfig(**sizes, **features))
    request = {"checkpoint": "", "cell": dataclasses.asdict(cell), "source": to_json(inputs.data())}
    contender = Echo()
    served = child.Served(contender)
    served.prepare(json.loads(json.dumps(request)))
    served.round({"every_step": True})
    assert contender.given.tobytes() == inputs.source.numpy().tobytes()
    assert contender.cell == cell


@pytest.mark.parametrize(
    ("compute_type", "dtype"), [("float32", "float32"), ("int8_float32", "float32"), ("int8_bfloat16", "bfloat16")]
)
def test_ctranslate2_is_given_features_in_the_type_in_which_it_computes(compute_type, dtype):
    ctranslate2 = pytest.importorskip("ctranslate2")
    features = np.random.default_rng(0).standard_normal((1, 4, 12)).astype(np.float32)
    given = placed(SimpleNamespace(compute_type=compute_type, device="cpu"), features)
    assert given.dtype == getattr(ctranslate2.DataType, dtype)
    back = np.array(given.to(ctranslate2.DataType.float32))
    features[:] = 0  # the library keeps a copy
    again = np.array(given.to(ctranslate2.DataType.float32))
    assert back.shape == features.shape
    assert back.any()
    assert np.array_equal(back, again)
