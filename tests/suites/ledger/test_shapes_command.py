"""``python -m suites shapes`` as people run it."""

import io
import json

import pandas as pd
import pytest

from suites.__main__ import main

from ...command import SMALL_MODEL, suites

SMALL = [*SMALL_MODEL, "seq_len=6", "batch_size=2"]
CHOSEN = "strategies=[full_recompute,contiguous_kv,static_kv]"


def shapes(*arguments: str, folder):
    return suites("shapes", *arguments, folder=folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return folder, shapes(*SMALL, "k=4", "hydra.run.dir=out", CHOSEN, folder=folder)


def test_the_table_answers_the_question(done):
    _, run = done
    assert run.returncode == 0, run.stderr
    said = " ".join(run.stdout.split())
    assert "With contiguous_kv, static_kv, 2 of the 11 products of a layer and the head grow with k" in said
    assert "self.scores and self.context, both batched" in said
    assert "[BH,1,K] x [BH,K,k]" in said
    assert "[4,1,8] x [4,8,4]" in said
    lines = {line.split()[0]: line.split()[1:] for line in run.stdout.splitlines() if line.startswith("cross.kv ")}
    assert lines["cross.kv"] == ["(S)", "S", "(S)"]


def test_it_prints_from_the_file(done):
    folder, run = done
    ledger = pd.read_csv(folder / "out" / "ledger.csv")
    assert {1, 2, 3, 4, 6} <= set(ledger["k"].dropna())
    assert set(ledger["src_len"]) == {6, 3}
    assert (folder / "out" / "environment.json").exists()
    assert "out/ledger.csv" in run.stderr
    assert not (folder / "latest").exists()


def printed(capsys, *arguments: str) -> str:
    assert main(["shapes", *SMALL, "threads=1", *arguments]) == 0
    return capsys.readouterr().out


def test_data_for_programs(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    rows = json.loads(printed(capsys, "--format", "json"))
    table = pd.read_csv(io.StringIO(printed(capsys, "--format", "csv")))
    assert [row["flops"] for row in rows] == list(table["flops"])
    assert next(row["k"] for row in rows if row["phase"] == "prefill") is None
    first = ["training", "full_recompute", "cross_kv", "contiguous_kv(cross=recompute)", "contiguous_kv"]
    reads = [
        "static_kv(cross=recompute)",
        "static_kv",
        "static_kv(cross=recompute,read=buffer)",
        "static_kv(read=buffer)",
    ]
    assert list(dict.fromkeys(table["strategy"])) == [*first, *reads]
    assert not list(tmp_path.glob("results/*/plots"))


def test_markdown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suites.plots.ledger.draw", lambda *_: [])
    text = printed(capsys, "strategies=[static_kv]", "--format", "md")
    assert "| self.scores | (N N) | k |" in text
    assert "### The whole model at step k = 6" in text


def test_pictures_are_drawn_and_told(done):
    folder, run = done
    told = [line.removeprefix("picture ") for line in run.stderr.splitlines() if line.startswith("picture ")]
    assert {"out/plots/layer_training.png", "out/plots/dimensions.png", "out/plots/flops_by_role.png"} <= set(told)
    for path in told:
        assert (folder / path).exists()
        assert (folder / path).with_suffix(".svg").exists()


def test_no_line_is_wider_than_a_page(done):
    assert max(map(len, done[1].stdout.splitlines())) <= 100


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["k=7"], "k=7 lies beyond the target length 6; give k=1 to k=6, or a larger tgt_len"),
        (["k=0"], "k=0 is not allowed"),
        (["k=x"], "k=x is not allowed"),
        (["strategies=[statik_kv]"], "static_kv"),
        (["strategies=['static_kv(capacity=4)']"], "capacity=4 cannot hold a target of 6 tokens"),
        (["seq_len=4,6"], "shapes shows one case, not 2"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--wat"], "unrecognized arguments: --wat"),
        (["batch=2"], "unknown key 'batch'"),
        (["--module", "transformers", "model=transformer2017"], "--module transformers builds a T5"),
        (["--explain"], "--explain decodes a phrase with the embedded model"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    model = [] if any(a.startswith("model=") for a in arguments) else SMALL_MODEL
    assert main(["shapes", *model, "seq_len=6", "threads=1", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_help_needs_no_torch(tmp_path):
    run = shapes("--help", folder=tmp_path)
    assert run.returncode == 0
    assert "k=NUMBER" in run.stdout


def test_transformers_beside_ours(tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, "k=4", "--module", "transformers", "hydra.run.dir=out")
    assert "self.qkv             3 for 1 3 for 1 3 for 1 3 for 1" in text
    assert "different: lm_head (4x in use_cache=False)" in " ".join(text.split())
    assert (tmp_path / "out" / "ledger_transformers.csv").exists()
