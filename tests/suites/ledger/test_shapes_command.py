"""``python -m suites shapes`` as people run it."""

import io
import json
import os
import subprocess
import sys

import pandas as pd
import pytest

from suites.__main__ import main
from suites.ledger.column import legend

from ...command import ROOT, SMALL_MODEL, suites

SMALL = [*SMALL_MODEL, "seq_len=6", "batch_size=2"]
CHOSEN = "strategies=[full_recompute,contiguous_kv,static_kv]"


def shapes(*arguments: str, folder):
    return suites("shapes", *arguments, folder=folder)


@pytest.fixture(scope="module")
def done(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shapes")
    return folder, shapes(*SMALL, "k=4", "hydra.run.dir=out", CHOSEN, folder=folder)


def test_the_table_answers_the_question_on_a_screen_of_24_lines(done):
    _, run = done
    assert run.returncode == 0, run.stderr
    said = " ".join(run.stdout.split())
    assert said.startswith("With contiguous_kv and static_kv, 2 of the 11 products of a step grow with k")
    assert "the keys attended: self.scores and self.context. With full_recompute, 10 of 12 do." in said
    rows = {line.split("  ")[0]: line.split()[1:] for line in run.stdout.splitlines()}
    assert rows["self.scores"][:6] == ["[BH,1,d]", "x", "[BH,d,k]", "[4,1,8]", "x", "[4,8,4]"]
    assert rows["cross.kv"][:4] == ["once,", "before", "step", "1"]
    assert len(run.stdout.splitlines()) <= 22


def test_the_wide_table_has_every_strategy_the_encoder_and_training(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, "k=4", "--all", "--plots", "false")
    said = " ".join(text.split())
    assert "7 static_kv(read=buffer)" in said
    assert "2 of the 12 products of a layer and the head grow with k" in said
    assert "self.context bGEMM [BH,N,N] x" in said
    lines = {line.split()[0]: line.split()[1:] for line in text.splitlines() if line.startswith("cross.kv ")}
    assert lines["cross.kv"] == ["(S)", "S", "(S)", "S", "(S)", "S", "(S)"]
    assert max(map(len, text.splitlines())) <= 80


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
    rows = json.loads(printed(capsys, "--all", "--format", "json"))
    table = pd.read_csv(io.StringIO(printed(capsys, "--all", "--format", "csv")))
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


def test_a_strategy_and_its_baseline_by_default_and_no_picture_where_none_is_wanted(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, "plots=false", "hydra.run.dir=out")
    assert text.splitlines()[3].split()[:3] == ["product", "static_kv", "numbers"]
    assert set(pd.read_csv(tmp_path / "out" / "ledger.csv")["strategy"]) == {"training", "full_recompute", "static_kv"}
    assert not (tmp_path / "out" / "plots").exists()


def test_heads_that_share_k_and_v_have_a_letter(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    grouped = ["model.num_kv_heads=1", "strategies=[full_recompute,static_kv]"]
    table = pd.read_csv(io.StringIO(printed(capsys, *grouped, "--format", "csv")))
    step = table[(table["k"] == 3) & (table["src_len"] == 6)].set_index(["strategy", "role"])
    found = step["shape"] + " = " + step["shape_numbers"]
    assert found["static_kv", "self.scores"] == "[BG,H/G,d] x [BG,d,k] = [2,2,8] x [2,8,3]"
    assert found["full_recompute", "self.context"] == "[BG,Hk/G,k] x [BG,k,d] = [2,6,3] x [2,3,8]"
    assert found["static_kv", "self.qkv"] == "[B,1,D] x [D,Hd+2Gd] = [2,1,24] x [24,32]"
    assert found["static_kv", "self.append"] == "2 x [BG,1,d] = 2 x [2,1,8]"
    assert step["grows_with"]["static_kv", "self.scores"] == "k"
    assert step["grows_with"]["full_recompute", "self.qkv"] == "k"
    assert "H heads 2, G key/value heads 1, d head size 8" in legend(table.assign(batch_size=2))


def test_markdown(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suites.plots.ledger.draw", lambda *_: [])
    text = printed(capsys, "strategies=[static_kv]", "--format", "md")
    assert "| self.scores | [BH,1,d] x [BH,d,k] | [4,1,8] x [4,8,2] |" in text
    text = printed(capsys, "strategies=[static_kv]", "--all", "--format", "md")
    assert "| self.scores | (N N) | k |" in text
    assert "### The whole model at step k = 2;" in text


def test_pictures_are_drawn_and_told(done):
    folder, run = done
    told = [line.removeprefix("picture ") for line in run.stderr.splitlines() if line.startswith("picture ")]
    assert {"out/plots/layer_training.png", "out/plots/dimensions.png", "out/plots/flops_by_role.png"} <= set(told)
    for path in told:
        assert (folder / path).exists()
        assert (folder / path).with_suffix(".svg").exists()


def test_no_line_is_wider_than_a_page(done):
    assert max(map(len, done[1].stdout.splitlines())) <= 80


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["k=7"], "k=7 lies beyond the target length 6; give k=1 to k=6, or a larger tgt_len"),
        (["k=0"], "k=0 is not allowed"),
        (["k=x"], "k=x is not allowed"),
        (["strategies=[statik_kv]"], "static_kv"),
        (["strategies=['static_kv(capacity=4)']"], "capacity=4 cannot hold a target of 6 tokens"),
        (["src_len=4,6"], "shapes shows one cell, not 2"),
        (["--format", "xml"], "invalid choice: 'xml'"),
        (["--wat"], "unrecognized arguments: --wat"),
        (["batch=2"], "unknown key 'batch'"),
        (["--module", "transformers", "model=transformer2017"], "--module transformers builds a T5"),
        (["--module", "transformers", "dtype=bf16"], "dtype has no effect with --module"),
        (["model.num_heads=6", "model.num_kv_heads=4"], "num_kv_heads=4 does not divide num_heads=6; give one of 1, 2"),
        (["--module", "transformers", "model.num_kv_heads=1"], "as many K/V heads as heads, not 1 of 2"),
        (["--explain"], "seq_len has no effect with --explain"),
        (["--module", "transformers", "--all"], "--all has no effect with --module"),
        (["--format", "csv", "--plots", "true"], "--plots has no effect with --format csv"),
        (["plots=true", "--plots", "true"], "--plots true and the key plots say the same thing; give one"),
        (["--phrase", "tea"], "--phrase has no effect without --explain"),
        (["k=2", "k=3"], "k=3 and k=2: one step is shown"),
        (["search=sample"], "search=sample has no effect, as its steps compute what those of search=greedy do"),
        (["search=beam", "search.length_penalty=2"], "search.length_penalty=2 has no effect, as products have the"),
        (["search=beam", "--module", "transformers"], "search=beam has no effect, as --module shows greedy search"),
        (["strategies=['static_kv(reorder=table)']"], "reorder=table has no effect where a sentence has one beam"),
        (["search=beam", "search.num_beams=0"], "search.num_beams=0 is not allowed"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    model = [] if any(a.startswith("model=") for a in arguments) else SMALL_MODEL
    model = [a for a in model if a.split("=")[0] not in {b.split("=")[0] for b in arguments}]
    assert main(["shapes", *model, "seq_len=6", "threads=1", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not (tmp_path / "results").exists()


def test_help_needs_no_torch(tmp_path):
    script = (
        "import sys; from suites.__main__ import main; main(['shapes', '--help']); assert 'torch' not in sys.modules"
    )
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    run = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    assert "k=NUMBER" in run.stdout


def test_a_measured_run_is_not_written_over(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "run.json").write_text("{}")
    assert main(["shapes", *SMALL, "threads=1", "--format", "csv", "hydra.run.dir=."]) == 1
    assert "holds a run that was measured" in capsys.readouterr().err


def test_the_configuration_that_is_kept_is_the_one_that_ran(done):
    folder, _ = done
    kept = (folder / "out" / "config.yaml").read_text()
    assert "- contiguous_kv" in kept
    assert "core" not in kept


def test_plot_draws_a_ledger_again(done, capsys):
    folder, _ = done
    before = (folder / "out" / "plots" / "dimensions.png").read_bytes()
    assert main(["plot", str(folder / "out")]) == 0
    assert "layer_training.png" in capsys.readouterr().out
    assert (folder / "out" / "plots" / "dimensions.png").read_bytes() == before


def test_another_step_and_lengths_by_default(tmp_path, monkeypatch, capsys):
    """Numbers that differ: source, target and step."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("suites.plots.ledger.draw", lambda *_: [])
    assert main(["shapes", *SMALL_MODEL, "threads=1", "strategies=[static_kv]"]) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "S source length 40" in text
    assert "numbers at k = 21" in text


def test_transformers_beside_ours(tmp_path, monkeypatch, capsys):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, "k=4", "--module", "transformers", "hydra.run.dir=out")
    assert "self.qkv             3 for 1 3 for 1 3 for 1 3 for 1" in text
    assert "different: lm_head (4x in use_cache=False)" in " ".join(text.split())
    assert "fp32 on cpu" in text
    assert (tmp_path / "out" / "ledger_transformers.csv").exists()


@pytest.mark.parametrize("lengths", [["k=1"], ["k=1", "tgt_len=1"], ["k=2", "tgt_len=2"]])
def test_transformers_at_the_first_steps(tmp_path, monkeypatch, capsys, lengths):
    pytest.importorskip("transformers")
    monkeypatch.chdir(tmp_path)
    text = printed(capsys, "--module", "transformers", *lengths)
    lines = [line.split() for line in text.splitlines()]
    assert ["self.scores", "(N", "N)", "k", "k", "k", "C"] in lines
    assert ["cross.k", "(S)", "S", "(S)", "(S)"] in lines


def test_beams_have_a_letter_and_their_copies_a_row(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chosen = "strategies=[contiguous_kv,'static_kv(cross_beams=expanded,reorder=table)']"
    beams = ["search=beam", "search.num_beams=3", chosen]
    text = printed(capsys, *beams, "plots=false", "hydra.run.dir=out")
    assert "W beams 3" in " ".join(text.split())
    assert "self.select and cross.select: copied before the step as beams are reordered" in " ".join(text.split())
    assert max(map(len, text.splitlines())) <= 80
    table = pd.read_csv(tmp_path / "out" / "ledger.csv")
    at = table[(table["k"] == 3) & (table["src_len"] == 6)].set_index(["strategy", "role"])["shape"]
    other = "static_kv(cross_beams=expanded,reorder=table)"
    assert at["contiguous_kv", "cross.scores"] == "[BH,W,d] x [BH,d,S]"
    assert at[other, "cross.scores"] == "[BWH,1,d] x [BWH,d,S]"
    assert at["contiguous_kv", "self.select"] == "2 x [BWH,k-1,d]"
    assert at[other, "self.select"] == "2 x [BW,k-1]"
    wide = " ".join(printed(capsys, *beams, "plots=false", "--all").split())
    assert "k keys attended, S source, N target length, C capacity, - fixed size." in wide


def test_a_search_of_one_beam_has_the_ledger_of_greedy_search(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    chosen = ["strategies=[static_kv]", "--format", "csv"]
    one = printed(capsys, "search=beam", "search.num_beams=1", *chosen)
    assert one == printed(capsys, *chosen) == printed(capsys, "search=greedy", *chosen)
