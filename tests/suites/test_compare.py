"""``compare``: two runs that were not paired, and what may be said of them."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from suites.__main__ import main
from suites.comparing.figures import compare_runs, quotient
from suites.comparing.runs import CASE, read_run

from ..command import SMALL_MODEL, suites

RUN = [*SMALL_MODEL, "seq_len=6", "threads=1", "measure=quick", "strategies=[full_recompute,static_kv]"]


@pytest.fixture(scope="module")
def run_dir(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("runs")
    suites("run", *RUN, "hydra.run.dir=a", folder=folder, check=True)
    return folder / "a"


@pytest.fixture
def twin(run_dir, tmp_path) -> Path:
    """A copy of the run, to be changed."""
    shutil.copytree(run_dir, tmp_path / "b")
    return tmp_path / "b"


def edit(run: Path, column: str, strategy: str, change) -> None:
    table = pd.read_csv(run / "table.csv", keep_default_na=False)
    table.loc[table["strategy"] == strategy, column] = table[column].map(lambda v: change(float(v) if v != "" else v))
    table.to_csv(run / "table.csv", index=False)


def compared(capsys, *arguments: object) -> tuple[int, str]:
    code = main(["compare", *map(str, arguments)])
    return code, capsys.readouterr().out


def test_a_run_and_its_copy_are_the_same(run_dir, twin, tmp_path, capsys):
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 0
    assert "12 of 12 deterministic figures are the same; no figure grew" in text
    assert "No round of one run was paired" in " ".join(text.split())
    assert (tmp_path / "out" / "plots" / "compare.png").exists()
    found = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert set(found.loc[found["kind"] == "deterministic", "verdict"]) == {"same"}
    assert (found["change"] - 1).abs().max() < 1e-12


@pytest.mark.parametrize("figure", ["executed_flops", "step_bytes", "kv_reserved_bytes", "peak_memory_bytes"])
def test_a_deterministic_figure_that_grew_fails(run_dir, twin, tmp_path, capsys, figure):
    edit(twin, figure, "static_kv", lambda value: value + 4)
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 1
    assert f"worse: static_kv {figure} grew." in text
    code, text = compared(capsys, twin, run_dir, "--dir", tmp_path / "out")
    assert code == 0
    assert "shrank" in text


def set_ratio(run: Path, value: float, half: float, rounds: int = 6) -> None:
    for column, number in {"e2e_ratio": value, "e2e_ratio_low": value / half, "e2e_ratio_high": value * half}.items():
        edit(run, column, "static_kv", lambda _, number=number: number)
    edit(run, "rounds", "static_kv", lambda _: rounds)


@pytest.mark.parametrize(
    ("second", "half", "code", "verdict"),
    [
        (0.60, 1.02, 1, "slower"),
        (0.60, 1.5, 0, "undecided"),
        (0.51, 1.01, 0, "indistinguishable"),
        (0.4, 1.02, 0, "faster"),
    ],
)
def test_a_ratio_that_worsened_with_confidence_fails(run_dir, twin, tmp_path, capsys, second, half, code, verdict):
    first = tmp_path / "first"
    shutil.copytree(run_dir, first)
    set_ratio(first, 0.5, half)
    set_ratio(twin, second, half)
    assert compared(capsys, first, twin, "--dir", tmp_path / "out")[0] == code
    found = pd.read_csv(tmp_path / "out" / "compare.csv").set_index("figure")
    assert found.loc["e2e_ratio", "verdict"] == verdict


def slow_down(run: Path, factor: float) -> None:
    """All of a run's times, so that ratios within it stay."""
    for path in run.glob("cells/*/rounds.jsonl"):
        rounds = [json.loads(line) for line in path.read_text().splitlines()]
        for one in rounds:
            if "marks_s" in one:
                one["marks_s"] = [mark * factor for mark in one["marks_s"]]
        path.write_text("".join(json.dumps(one) + "\n" for one in rounds))
    for strategy in ("full_recompute", "static_kv"):
        edit(run, "e2e_s", strategy, lambda value: value * factor)


def test_times_gate_only_if_asked(run_dir, twin, tmp_path, capsys):
    slow_down(twin, 50.0)
    assert compared(capsys, run_dir, twin, "--dir", tmp_path / "out")[0] == 0
    code, text = compared(capsys, run_dir, twin, "--gate-times", "--dir", tmp_path / "out")
    assert code == 1
    assert "static_kv e2e_s slower" in " ".join(text.split())
    assert "time, unpaired" in text


def test_drift_of_the_machine_divides_out(run_dir, twin, tmp_path, capsys):
    for strategy in ("full_recompute", "static_kv"):
        edit(twin, "e2e_s", strategy, lambda value: value * 3)
        edit(twin, "calibration_read_gb_per_s", strategy, lambda value: value / 3)
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 0
    assert "time x GB/s read" in text
    found = pd.read_csv(tmp_path / "out" / "compare.csv")
    assert found.loc[found["figure"] == "e2e_calibrated_gb", "change"].tolist() == pytest.approx([1.0, 1.0])


def change_environment(run: Path, **facts: object) -> None:
    path = run / "environment.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **facts}))


def test_another_machine_is_refused_unless_allowed(run_dir, twin, tmp_path, capsys):
    change_environment(twin, cpu="Another CPU")
    assert main(["compare", str(run_dir), str(twin)]) == 1
    error = capsys.readouterr().err
    assert error.count("\n") == 1
    assert "Another CPU" in error
    code, text = compared(capsys, run_dir, twin, "--across-machines", "--dir", tmp_path / "out")
    assert code == 0
    assert "time, unpaired" not in text


def test_other_versions_are_told(run_dir, twin, tmp_path, capsys):
    change_environment(twin, versions={"torch": "9.9.9"})
    assert "-> 9.9.9" in compared(capsys, run_dir, twin, "--dir", tmp_path / "out")[1]


def test_other_settings_are_refused(run_dir, twin, capsys):
    edit(twin, "tgt_len", "static_kv", lambda value: 7)
    edit(twin, "tgt_len", "full_recompute", lambda value: 7)
    assert main(["compare", str(run_dir), str(twin)]) == 1
    assert "the runs share no case (tgt_len 6 and 7)" in capsys.readouterr().err


def test_a_case_that_fails_now_is_worse(run_dir, twin, tmp_path, capsys):
    table = pd.read_csv(twin / "table.csv", keep_default_na=False)
    table.loc[table["strategy"] == "static_kv", "status"] = "failed"
    table.to_csv(twin / "table.csv", index=False)
    code, text = compared(capsys, run_dir, twin, "--dir", tmp_path / "out")
    assert code == 1
    assert "ok -> failed" in text


def test_formats(run_dir, twin, tmp_path, capsys):
    data = json.loads(compared(capsys, run_dir, twin, "--format", "json", "--dir", tmp_path / "out")[1])
    assert {row["figure"] for row in data} >= {"executed_flops", "e2e_ratio", "e2e_s"}
    text = compared(capsys, run_dir, twin, "--format", "md", "--dir", tmp_path / "out")[1]
    assert "| case | strategy | figure |" in text
    assert compared(capsys, run_dir, twin, "--format", "csv", "--dir", tmp_path / "out")[1].startswith("model,device")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "nowhere"], "does not exist"),
        (["x"], "the following arguments are required: B"),
        (["x", "y", "--margin", "2"], "2 is not allowed; give a share such as 0.05, or 5%"),
        (["x", "y", "--gate-times", "--time-margin", "5%"], "--time-margin 0.05 is not allowed"),
        (["x", "y", "--gate-times", "--across-machines"], "times of two machines say nothing"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert main(["compare", *arguments]) == 1
    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_the_reference_run_is_comparable_without_its_raw_rounds(tmp_path, capsys):
    reference = Path(__file__).parents[2] / "results" / "reference" / "cpu"
    assert compared(capsys, reference, reference, "--dir", tmp_path / "out")[0] == 0
    run = read_run(reference)
    found = compare_runs(run, run, 0.05, None, times=True)
    assert found.loc[found["kind"] == "time", "change_low"].isna().all()
    assert found.loc[found["kind"] == "ratio", "change_low"].notna().all()
    assert list(found.columns[: len(CASE)]) == CASE


def test_the_interval_of_a_quotient_covers_the_truth():
    """Two runs of six rounds with unequal noise, 400 times: 95 % of intervals hold the true quotient."""
    rng = np.random.default_rng(0)
    from suites.comparing.figures import _of_rounds

    hits = 0
    for _ in range(400):
        a, b = np.exp(rng.normal(0, 0.02, 6)), np.exp(rng.normal(np.log(1.1), 0.08, 6))
        ratio = quotient(_of_rounds(a), _of_rounds(b))
        hits += ratio.low <= 1.1 <= ratio.high
    assert 0.92 <= hits / 400 <= 0.985
