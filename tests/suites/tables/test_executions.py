"""A strategy executed in several ways: two tables and two plots, and what is slower is said."""

import math
import types

import pandas as pd
import pytest

from strategies.models.torch_settings import enabled_attention
from suites.__main__ import main
from suites.tables.executions import BEST, EQUAL, by_execution, execution_in
from suites.tables.table_files import read_tables
from suites.telling.choices_told import kernels_told
from suites.telling.summary import slower_executions

from ... import examples
from ...command import SMALL_MODEL, suites

COMPILED = "static_kv(execution=compiled,read=bucket)"
CASE = {
    "model": "m", "device": "cpu", "dtype": "fp32", "weights": "fp32", "linear": "torch", "attention": "auto",
    "tf32": "false", "search": "greedy", "threads": 1, "stop": "fixed",
    "seed": 0, "batch_size": 1, "num_beams": 1, "src_len": 8, "tgt_len": 8, "status": "ok",
}  # fmt: skip


def rows(times, ratios=None):
    """(cell, strategy, seconds) as a case table; ``ratios`` are those to a baseline, where they are known."""
    found = [{**CASE, "cell": c, "strategy": s, "execution": execution_in(s), "e2e_s": t} for c, s, t in times]
    return pd.DataFrame(found).assign(e2e_ratio=math.nan if ratios is None else ratios)


def shown(table):
    return {title: list(zip(part["cell"], part["strategy"], strict=True)) for title, part in by_execution(table)}


def test_options_of_an_approximate_strategy_are_not_weighed_against_one_another_by_time():
    """Of an exact strategy the quickest options are shown, of an approximate one the quickest execution of each."""
    times = [
        ("a", "static_kv", 5.0), ("a", COMPILED, 2.0), ("a", "quantized_kv", 4.0), ("a", "quantized_kv(bits=4)", 3.0),
        ("a", "quantized_kv(execution=compiled)", 1.0), ("a", "quantized_kv(bits=4,execution=compiled)", 3.5),
    ]  # fmt: skip
    table = rows(times)
    best = [name for _, name in shown(table.assign(exact=~table["strategy"].str.startswith("quantized")))[BEST]]
    assert best == [COMPILED, "quantized_kv(bits=4)", "quantized_kv(execution=compiled)"]
    assert [name for _, name in shown(table)[BEST]] == [COMPILED, "quantized_kv(execution=compiled)"]


def test_eager_alone_is_one_comparison_of_all():
    table = rows([("a", "static_kv", 2.0), ("a", "static_kv(read=buffer)", 3.0)])
    assert shown(table) == {"": [("a", "static_kv"), ("a", "static_kv(read=buffer)")]}
    assert list(slower_executions(table)) == []


def test_each_is_at_its_best_in_each_case_whatever_its_options():
    table = rows(
        [
            *(("a", name, t) for name, t in (("contiguous_kv", 2.0), ("static_kv", 3.0), (COMPILED, 1.0))),
            *(("b", name, t) for name, t in (("contiguous_kv", 2.0), ("static_kv", 3.0), (COMPILED, 4.0))),
            ("b", "ctranslate2_float32", 5.0),
        ]
    )
    found = shown(table)
    eager = [("a", "contiguous_kv"), ("a", "static_kv"), ("b", "contiguous_kv"), ("b", "static_kv")]
    assert found[EQUAL] == [*eager, ("b", "ctranslate2_float32")]
    assert set(found[BEST]) == {*eager, ("b", "ctranslate2_float32"), ("a", COMPILED)} - {("a", "static_kv")}
    (line,) = slower_executions(table)
    assert line == f"{COMPILED}, batch 1, 8 -> 8: 4 s; the table shows another execution of it"


def test_the_best_is_that_of_the_verdicts_and_not_of_medians():
    table = rows([("a", "cross_kv", 9.0), ("a", "static_kv", 2.0), ("a", COMPILED, 3.0)], [1.0, 0.3, 0.2])
    assert shown(table)[BEST] == [("a", "cross_kv"), ("a", COMPILED)]


def test_what_was_not_measured_is_no_best():
    table = rows([("a", "static_kv", 3.0), ("a", COMPILED, float("nan"))])
    assert shown(table)[BEST] == [("a", "static_kv")]


def test_a_comparison_of_which_nothing_was_timed_is_left_out():
    assert list(shown(rows([("a", COMPILED, 1.0)]))) == [BEST]
    assert shown(rows([("a", COMPILED, float("nan"))])) == {}


@pytest.fixture(scope="module")
def ran(tmp_path_factory):
    """A command that README shows, with a small model and few strategies: (the finished command, its run folder)."""
    folder = tmp_path_factory.mktemp("compiled")
    assert examples.COMPILED in examples.COMMANDS
    chosen = ["strategies=[full_recompute,static_kv]", "plots=true", "seq_len=5", "measure=quick", "hydra.run.dir=run"]
    return suites(*examples.COMPILED.split()[3:], *SMALL_MODEL, *chosen, folder=folder, check=True), folder / "run"


def test_a_compiled_step_is_measured_beside_the_eager_one(ran):
    done, folder = ran
    table = read_tables(folder)[0].set_index("strategy")
    assert list(table.index) == ["full_recompute", "static_kv", COMPILED]
    assert (table["status"] == "ok").all()
    assert (table["tokens_equal"] == "yes").all()
    assert table["setup_s"][COMPILED] > table["setup_s"]["static_kv"]
    assert table.loc[COMPILED, ["peak_memory_bytes", "dispatch_s"]].isna().all()
    for title in (EQUAL, BEST):
        assert title in " ".join(done.stdout.split())


def test_there_is_a_plot_of_each_comparison(ran):
    plots = {path.name for path in (ran[1] / "plots").glob("*.png")}
    assert {"totals.png", "totals_best.png"} < plots


def test_the_kernels_that_were_chosen_are_told(ran):
    advice = (ran[1] / "advice.txt").read_text()
    assert "linear=auto, batch 1, 5 -> 5 tokens, kernel (shapes of weights): up to 1 row " in advice


def test_a_compiled_step_alone_is_a_run(tmp_path, monkeypatch):
    """Which tables and figures it has. Its step is not compiled here; above it is, beside an eager one."""
    monkeypatch.setattr("strategies.models.kernels.execution.one_graph", lambda function, device: function)
    monkeypatch.setattr("strategies.models.kernels.execution.proven", lambda forward, *given: forward(*given))
    monkeypatch.chdir(tmp_path)
    asked = [*SMALL_MODEL, f"strategies=['{COMPILED}']", "seq_len=5", "measure=quick", "threads=1"]
    assert main(["run", *asked, "hydra.run.dir=run"]) == 0
    assert read_tables(tmp_path / "run")[0]["status"].tolist() == ["ok"]
    names = {path.stem for path in (tmp_path / "run" / "plots").glob("*.png")}
    assert "totals_best" in names
    assert "totals" not in names
    assert (tmp_path / "run" / "report.html").exists()


def test_the_attention_kernel_is_that_of_the_cell_and_torchs_own_choice_comes_back(tmp_path, monkeypatch):
    """This process has its own settings again after a cell with others."""
    before = enabled_attention()
    monkeypatch.chdir(tmp_path)
    asked = [*SMALL_MODEL, "strategies=[full_recompute,static_kv]", "seq_len=5", "measure=quick", "attention=auto,math"]
    assert main(["run", *asked, "plots=false", "report=false", "hydra.run.dir=run"]) == 0
    table = read_tables(tmp_path / "run")[0]
    assert table["attention_ran"].tolist() == ["flash", "flash", "math", "math"]
    assert table["attention"].tolist() == ["auto", "auto", "math", "math"]
    assert set(table["status"]) == {"ok"}
    assert enabled_attention() == before


def test_a_captured_step_is_skipped_without_cuda(tmp_path):
    asked = [*SMALL_MODEL, "strategies=[static_kv]", "execution=graph", "seq_len=5", "measure=quick", "device=cpu,cuda"]
    done = suites("run", *asked, folder=tmp_path, check=True)
    line = "skipped: static_kv(execution=graph,read=bucket) in 1 cell: execution=graph needs a CUDA device"
    assert line in done.stdout


@pytest.mark.parametrize(
    ("asked", "line"),
    [
        ([], "has no effect with execution=eager; give execution=compiled, or leave linear out"),
        (["execution=compiled", "batch_size=2"], "has no effect with batch_size=2; give batch_size=1, or leave linear"),
        (["execution=compiled", "dtype=bf16"], "has no effect with dtype=bf16; give dtype=fp32, or leave linear out"),
    ],
)
def test_loops_of_one_row_are_refused_where_they_would_change_nothing(asked, line, capsys):
    assert main(["run", "linear=fused", *asked]) == 1
    assert f"linear=fused {line}" in capsys.readouterr().err


def test_a_profile_of_loops_of_one_row_is_refused(capsys):
    assert main(["profile", "linear=fused"]) == 1
    assert "profile: linear=fused is not allowed; it is for compiled steps: leave it out" in capsys.readouterr().err


def test_kernels_of_compiled_steps_are_told_apart():
    choices = [
        {"weight": [8, 8], "rows_max": limit, "kernel": kernel, "ratio": 0.5, "compiled": kernel == "fused"}
        for limit, kernel in ((1, "onednn"), (None, "torch"), (1, "fused"))
    ]
    cell = {"batch_size": 1, "src_len": 5, "tgt_len": 6, "linear_choices": choices}
    (line,) = kernels_told([types.SimpleNamespace(cell=cell)])
    assert line.endswith("up to 1 row onednn (1); for more torch (1); in compiled steps fused (1)")


@pytest.mark.parametrize("verb", ["shapes", "profile"])
@pytest.mark.parametrize("asked", ["execution=compiled", "strategies=['static_kv(execution=compiled,read=buffer)']"])
def test_what_looks_at_single_operators_refuses(verb, asked, capsys):
    assert main([verb, asked]) == 1
    assert f"{verb}: execution=compiled is not allowed; it looks at single operators" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("name", "value"),
    [("TORCHDYNAMO_DISABLE", "1"), ("TORCH_COMPILE_DISABLE", "1"), ("TORCH_COMPILE_OVERRIDE_BACKENDS", ">=0:eager")],
)
@pytest.mark.parametrize("asked", ["execution=compiled", f"strategies=['{COMPILED}']"])
def test_a_variable_that_keeps_torch_from_compiling_is_named(name, value, asked, capsys, monkeypatch):
    monkeypatch.setenv(name, value)
    assert main(["run", asked]) == 1
    said = capsys.readouterr().err
    assert f"execution=compiled is not allowed here: {name}={value} keeps torch from compiling; unset it" in said
    assert said.count("\n") == 1


def test_an_unknown_execution_is_refused(capsys):
    assert main(["run", "execution=fast"]) == 1
    assert "execution=fast is not allowed; give one of eager, compiled, graph" in capsys.readouterr().err
