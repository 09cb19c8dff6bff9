"""The sweep ``shazeer2019`` and its model: the paper's shapes, and models that a table tells apart."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
import torch

from conf import __path__ as conf_path
from strategies import ModelConfig, ModelSpec, config_of
from strategies.models.encoder_decoder import EncoderDecoder
from suites.settings.overrides import compose_jobs, read_overrides
from tests.command import ROOT, SMALL_MODEL, suites

KINDS = [8, 2, 1]
STRATEGIES = ["contiguous_kv", "static_kv", "static_kv(read=buffer)"]
# Shazeer 2019, table 1: heads, head size, feed-forward width, and heads of K and V.
PAPER = [(8, 128, 4096, 8), (8, 128, 5440, 1), (1, 128, 6784, 1), (2, 64, 6784, 2), (4, 32, 6784, 4), (8, 16, 6784, 8)]


def configs(*arguments: str):
    return [job.config for job in compose_jobs(read_overrides(["+sweep=shazeer2019", *arguments]))]


def test_its_models_differ_in_kv_heads_alone_and_say_so():
    found = configs()
    assert [c.model["name"] for c in found] == [f"t5-small(num_kv_heads={n})" for n in KINDS]
    assert [config_of(ModelSpec.of(c.model)).kv_heads for c in found] == KINDS
    assert {(c.seq_len, c.batch_size, tuple(c.strategies)) for c in found} == {(128, 8, tuple(STRATEGIES))}


def test_the_model_lengths_batch_and_heads_can_be_given():
    given = configs("model=shazeer2019", "batch_size=2", "seq_len=16", "model.num_kv_heads=4")
    assert [c.model["name"] for c in given] == ["shazeer2019(num_kv_heads=4)"]
    assert [(c.seq_len, c.batch_size, tuple(c.strategies)) for c in given] == [(16, 2, tuple(STRATEGIES))]


def paper_config(heads: int, size: int, feed_forward: int, kv_heads: int) -> ModelConfig:
    sizes = [f"num_heads={heads}", f"d_kv={size}", f"d_ff={feed_forward}", f"num_kv_heads={kv_heads}"]
    (job,) = compose_jobs(read_overrides(["model=shazeer2019", *(f"model.{s}" for s in sizes)]))
    return config_of(ModelSpec.of(job.config.model))


def test_every_variant_of_the_paper_is_a_model_option_with_as_many_weights():
    """Where matrices are counted: widening the feed-forward makes up for what attention lost, to the number."""
    counts = set()
    for variant in PAPER:
        with torch.device("meta"):
            model = EncoderDecoder(paper_config(*variant))
        counts.add(sum(p.numel() for p in model.parameters() if p.dim() == 2))
    assert len(counts) == 1
    assert counts.pop() == pytest.approx(211e6, rel=0.01)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shazeer")
    small = [s for s in SMALL_MODEL if not s.startswith(("model.num_heads", "model.name"))]
    run = suites(
        "run", "+sweep=shazeer2019", *small, "model.num_heads=8", "seq_len=4", "batch_size=2", "measure=quick",
        folder=folder,
    )  # fmt: skip
    assert run.returncode == 0, run.stdout + run.stderr
    return folder / "results" / "latest"


def test_a_run_has_a_row_for_each_model_and_strategy_with_kv_bytes_in_proportion(done):
    table = pd.read_csv(done / "table.csv")
    assert (table["status"] == "ok").all()
    assert table["strategy"].tolist() == STRATEGIES * 3
    assert [int(re.search(r"num_kv_heads=(\d+)", name)[1]) for name in table["model"].unique()] == KINDS
    held = table[table["strategy"] == "static_kv"]["kv_reserved_bytes"].tolist()
    assert [h // held[-1] for h in held] == KINDS
    assert {json.loads(f.read_text())["model_config"]["num_kv_heads"] for f in done.glob("cells/*/cell.json")} == {
        *KINDS
    }


def test_the_page_and_the_files_name_each_other():
    page = (ROOT / "docs" / "shazeer2019.md").read_text()
    assert "python -m suites run +sweep=shazeer2019" in page
    for heads, size, feed_forward, _ in PAPER:
        assert f"| {heads} | {size} | {feed_forward:,} |" in page
    (folder,) = conf_path
    for file in ("model", "sweep"):
        text = (Path(folder) / file / "shazeer2019.yaml").read_text()
        assert text.startswith("# python -m suites run ")
