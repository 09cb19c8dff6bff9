"""Sources that are features: read from a file or seeded, checked against the model, and part of a cell's identity."""

import dataclasses
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from strategies import config_of, load_model
from suites.probes.finite import NotFiniteError, require_finite
from suites.settings.cells import make_cell
from suites.settings.config import ConfigError, RunConfig
from suites.settings.inputs import make_inputs
from suites.settings.obstacles import obstacle
from suites.settings.texts import encoded

WHISPER = {
    "name": "w", "architecture": "whisper", "vocab_size": 60, "d_model": 16, "num_heads": 2, "d_kv": 8, "d_ff": 32,
    "encoder_layers": 1, "decoder_layers": 1, "mel_bins": 4, "src_positions": 6, "tgt_positions": 9,
}  # fmt: skip
IDS = {key: value for key, value in WHISPER.items() if key not in ("mel_bins", "architecture")}
GOOD = np.random.default_rng(0).standard_normal((2, 4, 12))


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    """Messages cut long paths."""
    monkeypatch.chdir(tmp_path)


def saved(array=GOOD, name="f.npy"):
    np.save(name, array)
    return name


def cell_of(model=WHISPER, **keys):
    return make_cell(RunConfig(model=model, device="cpu", **keys))


def inputs_of(cell):
    return make_inputs(cell, config_of(cell.model))


@pytest.mark.parametrize("dtype", ["float16", "float32", ">f8"])
def test_a_file_settles_batch_and_length_and_is_read_as_float32(dtype):
    given = GOOD.astype(dtype)
    cell = cell_of(src_features=saved(given))
    assert (cell.batch_size, cell.src_len, obstacle(cell)) == (2, 6, "tgt_len=64 lies beyond the model's 9 positions; "
                                                               "give tgt_len=9 or less")  # fmt: skip
    inputs = inputs_of(cell)
    assert inputs.source.dtype == torch.float32
    assert np.array_equal(inputs.source.numpy(), given.astype(np.float32))
    assert (inputs.src_mask_BS, inputs.src_lens, inputs.real_fraction) == (None, (6, 6), 1.0)
    assert (inputs.batch, inputs.src_len) == (2, 6)


def test_without_a_file_features_are_seeded_and_fill_the_models_positions():
    first, again, other = (inputs_of(cell_of(seed=seed, batch_size=3)).source for seed in (1, 1, 2))
    assert first.shape == (3, 4, 12)
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert abs(float(first.mean())) < 0.3 < float(first.std())


def test_seq_len_sets_the_target_alone_where_sources_are_features():
    cell = cell_of(seq_len=5)
    assert (cell.src_len, cell.tgt_len, obstacle(cell)) == (6, 5, "")


@pytest.mark.parametrize(
    ("keys", "line"),
    [
        ({"src_len": 5}, "src_len=5 is not allowed: the model's sources are features of exactly 6 positions; give "
                         "src_len=6, or leave it out"),
        ({"tgt_len": 10}, "tgt_len=10 lies beyond the model's 9 positions; give tgt_len=9 or less"),
    ],
)  # fmt: skip
def test_a_length_that_the_model_does_not_have_is_an_obstacle(keys, line):
    assert obstacle(cell_of(**{"tgt_len": 4, **keys})) == line


def test_a_file_of_the_other_kind_is_an_obstacle():
    Path("ids.txt").write_text("5 6\n7\n")
    path = saved()
    assert obstacle(cell_of(src_ids="ids.txt")) == (
        "the model reads features, and no token ids or texts; give src_features=FILE.npy, or leave them out"
    )
    assert obstacle(cell_of(IDS, src_features=path)) == (
        "src_features are features, and the model reads token ids; give src_ids=FILE, or leave it out"
    )
    told = obstacle(cell_of({**WHISPER, "mel_bins": 5}, src_features=path))
    assert told.startswith("src_features=")
    assert told.endswith(
        "holds an array [2, 4, 12]; the model reads [sentences, 5, 12]: mel bins, and two frames for each position"
    )


@pytest.mark.parametrize(
    ("array", "told"),
    [
        (np.array([{}]), "holds Python objects"),
        (np.ones((2, 4, 12), int), "holds int64 of shape [2, 4, 12]"),
        (np.ones((4, 12)), "holds float64 of shape [4, 12]"),
        (np.ones((0, 4, 12)), "is empty, of shape [0, 4, 12]"),
        (np.where(np.arange(12) == 3, np.nan, np.ones((2, 4, 12))), "holds nan at [0, 0, 3]"),
        (np.full((1, 4, 12), 1e300), "holds 1e+300 at [0, 0, 0]"),
    ],
)
def test_an_array_that_is_no_features_is_refused_in_one_line(array, told):
    path = saved(array)
    with pytest.raises(ConfigError) as caught:
        cell_of(src_features=path)
    assert str(caught.value).startswith(f"src_features={path} {told}; ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (lambda array: None, "cannot be read (No such file or directory)"),
        (lambda array: b"text\n", "is no .npy file, as it does not begin as one"),
        (lambda array: b"", "is an empty file"),
        (lambda array: array[:200], "is cut short: it has 200 bytes, and its header tells of 896"),
        (lambda array: array + b"more", "goes on after its array: it has 900 bytes, and its header tells of 896"),
        (lambda array: array.replace(b"(2,", b"(?,"), "is a .npy file whose header cannot be read"),
        (lambda array: array.replace(b"(2, 4,", b"(-2,-4,"), "is a .npy file whose header cannot be read"),
        (lambda array: array[:7], "is a .npy file whose header cannot be read"),
        (lambda array: b"\x93NUMPY\x09\x00" + array[8:], "is a .npy file whose header cannot be read"),
    ],
)
def test_a_file_that_is_no_array_is_refused_in_one_line(content, told):
    array = Path(saved()).read_bytes()
    Path("f.npy").unlink()
    if (changed := content(array)) is not None:
        Path("f.npy").write_bytes(changed)
    with pytest.raises(ConfigError) as caught:
        cell_of(src_features="f.npy")
    assert str(caught.value) == (
        f"src_features=f.npy {told}; write an array of floats [sentences, mel, frames] by numpy.save"
    )


def test_an_archive_and_a_folder_are_refused():
    np.savez("f.npz", GOOD)
    torch.save(torch.ones(2), "f.pt")
    for given, told in (("f.npz", "an archive"), ("f.pt", "an archive"), (".", "no file; write an array")):
        with pytest.raises(ConfigError, match=rf"^src_features={given} is {told}[^\n]+ by numpy.save$"):
            cell_of(src_features=given)


def test_features_beyond_the_range_of_a_type_are_an_obstacle_of_its_cells():
    path = saved(np.where(np.arange(12) == 3, -7e4, GOOD))
    found = [obstacle(cell_of(src_features=path, tgt_len=4, dtype=dtype)) for dtype in ("fp32", "bf16", "fp16")]
    assert found[:2] == ["", ""]
    assert found[2].startswith("src_features=")
    assert found[2].endswith(
        " holds features as large as 7e+04, beyond the 6.55e+04 of fp16; give dtype=bf16 or dtype=fp32"
    )
    path = saved(np.full((2, 4, 12), np.finfo("f4").max))
    assert obstacle(cell_of(src_features=path, tgt_len=4, dtype="bf16")).endswith(
        "of bf16; give dtype=fp32, or smaller features"
    )


def test_features_that_overflow_in_the_model_are_not_told_as_weights():
    cell = cell_of(tgt_len=4)
    model = load_model(cell.model)
    told = r"values overflow float32: the features are too large or the weights damaged; save them again$"
    with pytest.raises(NotFiniteError, match=told):
        require_finite(torch.full((1, 3), torch.inf), model, "full_recompute", 1)


def test_the_id_of_a_cell_covers_the_content_of_the_file_and_not_its_place():
    path = saved()
    Path("b").mkdir()
    moved = shutil.copy(path, "b")
    first, copied, single = (cell_of(src_features=each) for each in (path, moved, saved(GOOD[:1], "c.npy")))
    seeded, other = cell_of(batch_size=2), cell_of(src_features=saved(-GOOD, "d.npy"))
    assert first.id == copied.id
    assert len({cell.id for cell in (first, single, seeded, other)}) == 4


def test_a_file_that_changes_between_plan_and_measurement_is_refused():
    cell = cell_of(src_features=saved())
    saved(-GOOD)
    with pytest.raises(ConfigError, match=r"was changed since the run was planned; start a new run$"):
        inputs_of(cell)


def test_a_text_is_refused_for_a_model_of_features():
    spec = cell_of().model
    with pytest.raises(ConfigError, match=r"^text 1 cannot be read by w, whose sources are features; `run` takes them"):
        encoded(["good morning"], spec)


def test_features_of_a_cell_that_moved_on_to_another_model_are_refused_when_inputs_are_made():
    cell = cell_of(src_features=saved())
    with pytest.raises(ConfigError, match="the model reads token ids"):
        make_inputs(cell, dataclasses.replace(config_of(cell.model), mel_bins=None))
