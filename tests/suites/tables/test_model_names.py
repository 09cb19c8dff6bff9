"""Which models are the same, and what those that differ are called beside each other."""

import dataclasses

import pandas as pd
import pytest

from strategies import ModelSpec
from suites.plots.views import views
from suites.settings.cells import Cell, make_cell
from suites.settings.config import RunConfig
from suites.store.cell_folder import CellResult
from suites.tables.columns import GROUP
from suites.tables.model_names import checkpoints_told, model_names

PRONOUNCE = {"name": "pronounce", "source": "pronounce"}
SLIVER = {
    "name": "sliver", "source": "random", "vocab_size": 29, "d_model": 14, "num_heads": 3, "d_kv": 5, "d_ff": 22,
    "encoder_layers": 1, "decoder_layers": 1,
}  # fmt: skip


def folder(path, content=None, name="final"):
    model = {"name": name, "source": "checkpoint", "checkpoint": path, "shape": []}
    return model if content is None else model | {"content": content}


def random(**shape):
    return {"name": "m", "source": "random", "checkpoint": None, "shape": [[k, v] for k, v in sorted(shape.items())]}


def cells(*models):
    return [CellResult(str(i), {"model": model}, [], []) for i, model in enumerate(models)]


@pytest.mark.parametrize(
    ("models", "names"),
    [
        ([folder("/a/final", "1"), folder("/b/other", "2", "other")], ["final", "other"]),
        ([folder("/x/a/final", "1"), folder("/x/b/final", "2")], ["a/final", "b/final"]),
        ([folder("/a/x/final", "1"), folder("/b/x/final", "2")], ["a/x/final", "b/x/final"]),
        ([folder("/final", "1"), folder("/b/final", "2")], ["/final", "b/final"]),
        ([folder("/a/final", "1"), folder("/b/final", "1")], ["final", "final"]),
        ([folder("/a/final", "1"), folder("/a/final", "2")], ["final 1", "final 2"]),
        ([folder("/a/final"), folder("/b/final")], ["a/final", "b/final"]),
        ([folder("/a/x", "1", "mine"), folder("/a/y", "2", "mine")], ["mine (x)", "mine (y)"]),
        ([random(d_ff=8, d_kv=4), random(d_ff=9, d_kv=4)], ["m(d_ff=8)", "m(d_ff=9)"]),
        ([random(d_ff=8), random(d_ff=8)], ["m", "m"]),
        ([random(d_ff=8), folder("/a/m", "1", "m")], ["m(d_ff=8)", "m"]),
        ([{"name": "m"}, {"name": "m"}], ["m", "m"]),
    ],
)
def test_names_are_lengthened_until_models_that_differ_differ(models, names):
    assert model_names(cells(*models)) == names


def test_the_path_of_a_checkpoint_is_told_once():
    done = cells(folder("/x/a/final", "1f"), folder("/x/a/final", "1f"), folder("/x/b/final"), random(d_ff=8))
    assert checkpoints_told(done) == ["model a/final: /x/a/final, content 1f", "model b/final: /x/b/final"]


def test_plots_of_models_whose_names_a_file_s_name_cannot_keep_apart_do_not_overwrite_each_other():
    case = dict.fromkeys(GROUP, "x") | {"threads": 1, "seed": 0, "status": "ok", "strategy": "static_kv"}
    table = pd.DataFrame([{**case, "cell": str(i), "model": name} for i, name in enumerate(("a/b", "a-b", "A b"))])
    suffixes = [view.suffix for view in views(table, table, {})]
    assert suffixes == ["_a-b", "_a-b-2", "_A-b-3"]


@pytest.mark.parametrize(
    ("model", "more", "known"),
    [
        (PRONOUNCE, {}, "pronounce_b1_s8_t8_cpu_fp32_0b64c78b"),
        (PRONOUNCE, {"linear": "auto"}, "pronounce_b1_s8_t8_cpu_fp32_82be1b36"),
        (PRONOUNCE, {"weights": "int8"}, "pronounce_b1_s8_t8_cpu_fp32_9e16646e"),
        (SLIVER, {}, "sliver_b1_s8_t8_cpu_fp32_6fcbff06"),
    ],
)
def test_ids_of_cells_without_a_checkpoint_are_those_of_earlier_versions(model, more, known):
    assert make_cell(RunConfig(model=model, seq_len=8, threads=1, device="cpu", **more)).id == known


def test_the_id_of_a_checkpoint_s_cell_is_of_its_content_and_not_of_its_path():
    cell = Cell(ModelSpec("final", "checkpoint", "/a/final", (), "1f"), 5, 6, 2, "cpu", "fp32", 1, 0, "fixed")
    moved, trained = (dataclasses.replace(cell.model, **kind) for kind in ({"checkpoint": "b"}, {"content": "2f"}))
    assert dataclasses.replace(cell, model=moved).id == cell.id
    assert dataclasses.replace(cell, model=trained).id != cell.id
