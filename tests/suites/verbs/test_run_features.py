"""``run`` of a model of features: it is measured by every strategy, told as what it is, and refused in one line."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from suites.__main__ import main
from suites.settings.cells import make_cell
from suites.settings.overrides import compose_jobs, read_overrides

MODEL = [
    "model=whisper_tiny", "model.name=wee", "model.vocab_size=90", "model.d_model=16", "model.num_heads=2",
    "model.d_kv=8", "model.d_ff=24", "model.encoder_layers=1", "model.decoder_layers=1", "model.mel_bins=4",
    "model.src_positions=10", "model.tgt_positions=30", "model.pad_id=0", "model.eos_id=1", "model.start_id=2",
    "model.prefix_ids=[3,4]", "device=cpu", "threads=1",
]  # fmt: skip


@pytest.fixture(autouse=True)
def _in_a_folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("f.npy", np.random.default_rng(0).standard_normal((2, 4, 20)))


def test_every_strategy_is_measured_on_the_features_of_a_file():
    asked = ["src_features=f.npy", "tgt_len=9", "measure.rounds=2", "measure.warmup=0", "plots=false", "report=false"]
    assert main(["run", *MODEL, *asked, "hydra.run.dir=out"]) == 0
    table = pd.read_csv("out/table.csv")
    assert table["status"].tolist() == ["ok"] * 4
    assert set(table[["source", "src_len", "batch_size"]].itertuples(index=False, name=None)) == {("features", 10, 2)}
    (folder,) = Path("out/cells").iterdir()
    cell = json.loads((folder / "cell.json").read_text())
    assert cell["src_features"]["shape"] == [2, 4, 20]
    assert (cell["src_lens"], cell["real_fraction"]) == ([10, 10], 1.0)
    assert "target = 28 at batch 2" in Path("out/advice.txt").read_text(), "all positions but those of the prefix"


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (["src_len=9"], "src_len=9 is not allowed: the model's sources are features of exactly 10"),
        (["tgt_len=29"], "tgt_len=29, after 2 tokens of a prefix, lies beyond the model's 30 positions; give"),
        (["src_features=f.npy", "batch_size=3"], "batch_size=3 has no effect beside src_features, whose sentences"),
    ],
)  # fmt: skip
def test_a_mistake_is_one_line(asked, said, capsys):
    assert main(["run", *MODEL, *asked, "plots=false", "report=false"]) == 1
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert said in captured.err


def test_a_sweep_of_seq_len_sweeps_the_target_alone():
    jobs = compose_jobs(read_overrides([*MODEL, "seq_len=3,5"]))
    cells = [make_cell(job.config) for job in jobs]
    assert [(cell.src_len, cell.tgt_len) for cell in cells] == [(10, 3), (10, 5)]
    assert cells[0].title == "wee cpu batch 1, 10 positions -> 3 tokens"
