"""``compare``: two runs that were not paired, and what may be said of them."""

import json
import re
from pathlib import Path

import pytest

from suites.__main__ import main
from suites.settings.config import ConfigError
from suites.two_runs.figures import compare_runs
from suites.two_runs.matching import match
from suites.two_runs.report import lines_of
from suites.two_runs.runs import CASE, RunRead, read_run, require_comparable
from tests.command import ROOT

from .folders import compared, edit, edit_json, refused, rows, slow_down


@pytest.mark.usefixtures("drawn")
def test_a_run_and_its_copy_are_the_same(run_dir, twin, tmp_path, capsys):
    out = tmp_path / "out"
    code, text = compared(capsys, run_dir, twin, "--dir", out)
    assert code == 0
    assert re.match("The second run is not worse|Cannot tell: .*Nothing is worse with confidence", text)
    assert re.search("36 of 36 deterministic figures are the same; 4 ratios were judged", text)
    assert "No round of one run was paired" in text
    assert "may differ by some per cent for as long as they live" in text
    assert (out / "plots" / "compare.png").exists()
    assert set(rows(out, kind="deterministic")["verdict"]) == {"same"}
    assert (rows(out)["change"] - 1).abs().max() < 1e-12


@pytest.mark.parametrize("figure", ["executed_flops", "step_bytes", "kv_reserved_bytes", "peak_memory_bytes"])
def test_a_deterministic_figure_that_grew_fails(tables, tmp_path, capsys, figure):
    first, second = tables
    edit(second, figure, "static_kv", lambda text: float(text) + 4)
    code, text = compared(capsys, first, second, "--dir", tmp_path / "out")
    assert code == 1
    assert text.startswith(f"The second run is worse: {figure} of static_kv grew by ")
    assert "(the worst of 2 cases)." in text
    code, text = compared(capsys, second, first, "--dir", tmp_path / "out")
    assert code == 0
    assert "shrank" in text


def test_a_figure_is_new_without_a_gate_and_missing_with_one(tables, tmp_path, capsys):
    first, second = tables
    edit(first, "kv_used_bytes", "static_kv", lambda _: "")
    assert compared(capsys, first, second, "--dir", tmp_path / "out")[0] == 0
    assert set(rows(tmp_path / "out", figure="kv_used_bytes", strategy="static_kv")["verdict"]) == {"new"}
    assert compared(capsys, second, first, "--dir", tmp_path / "out")[0] == 1
    assert set(rows(tmp_path / "out", figure="kv_used_bytes", strategy="static_kv")["verdict"]) == {"missing"}


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
def test_a_ratio_that_worsened_with_confidence_fails(tables, tmp_path, capsys, second, half, code, verdict):
    for run, value in zip(tables, (0.5, second), strict=True):
        set_ratio(run, value, half)
    assert compared(capsys, *tables, "--dir", tmp_path / "out")[0] == code
    assert set(rows(tmp_path / "out", figure="e2e_ratio", strategy="static_kv")["verdict"]) == {verdict}


def test_p_values_are_adjusted_over_all_ratios(tables, tmp_path, capsys):
    """Two ratios of four, each of which would be certain enough alone."""
    for run, value in zip(tables, (0.5, 0.6), strict=True):
        set_ratio(run, value, 1.15)
    assert compared(capsys, *tables, "--dir", tmp_path / "out")[0] == 0
    found = rows(tmp_path / "out", figure="e2e_ratio", strategy="static_kv")
    assert (found["change_low"] > 1).all()
    assert set(found["verdict"]) == {"undecided"}
    assert (found["p_holm"] > 0.05).all()


def test_times_are_judged_only_if_asked(run_dir, twin, tmp_path, capsys):
    slow_down(twin, 1e6)
    assert compared(capsys, run_dir, twin, "--dir", tmp_path / "out")[0] == 0
    assert rows(tmp_path / "out", kind="time")[["verdict", "gate", "p_holm"]].isna().all(axis=None)
    code, text = compared(capsys, run_dir, twin, "--gate-times", "--dir", tmp_path / "out")
    assert code == 1
    assert "static_kv takes" in text
    assert "6 times were judged" in text
    assert "static_kv, time" in text


def test_times_are_multiplied_by_either_calibration_and_not_judged(run_dir, twin, tmp_path, capsys):
    slow_down(twin, 3.0)
    for path in twin.glob("cells/*/rounds.jsonl"):
        records = [json.loads(line) for line in path.read_text().splitlines()]
        for one in records:
            if "read_bytes_per_s" in one:
                one["read_bytes_per_s"] /= 3
        path.write_text("".join(json.dumps(one) + "\n" for one in records))
    code, text = compared(capsys, run_dir, twin, "--format", "md", "--dir", tmp_path / "out")
    assert code == 0
    assert ", time" not in text
    assert rows(tmp_path / "out", figure="e2e_read_gb")["change"].tolist() == pytest.approx([1.0] * 6)
    assert rows(tmp_path / "out", figure="e2e_gemm_gflop")["change"].tolist() == pytest.approx([3.0] * 6)
    assert rows(tmp_path / "out", kind="time")["verdict"].isna().all()
    shown = {line[2]: line[3] for line in lines_of(rows(tmp_path / "out"))}
    assert re.search(r"^[\d.]+ [kMGT]?bytes$", shown["time x read, unpaired"])
    assert re.search(r"^[\d.]+ [kMGT]?FLOPs$", shown["time x GEMM, unpaired"])


def change_environment(run: Path, **facts: object) -> None:
    edit_json(run / "environment.json", lambda content: content.update(facts))


def test_another_machine_is_refused_unless_allowed(run_dir, twin, tmp_path, capsys):
    change_environment(twin, cpu="Another CPU")
    assert "Another CPU" in refused(capsys, run_dir, twin)
    assert compared(capsys, run_dir, twin, "--across-machines", "--dir", tmp_path / "out")[0] == 0
    assert rows(tmp_path / "out", kind="time").empty


def test_a_gpu_is_the_same_at_another_clock_and_in_a_folder_of_an_earlier_version_and_another_by_its_name():
    earlier = {"name": "H100", "memory_bytes": 80 << 30, "cuda": "13.0"}
    now, later = ({**earlier, "sm_mhz": mhz, "driver": "580.95.05"} for mhz in (1980, 345))
    old, a, b, other, none = (
        RunRead(Path("run"), {}, {"gpu": gpu}) for gpu in (earlier, now, later, {**now, "name": "H200"}, None)
    )
    assert require_comparable(a, b, False) == require_comparable(old, a, False) == []
    for another in (other, none):
        with pytest.raises(ConfigError, match="different machines"):
            require_comparable(a, another, False)


def test_other_versions_are_told(run_dir, twin, tmp_path, capsys):
    change_environment(twin, versions={"torch": "9.9.9"})
    assert "-> 9.9.9" in compared(capsys, run_dir, twin, "--dir", tmp_path / "out")[1]


def test_formats(run_dir, twin, tmp_path, capsys):
    data = json.loads(compared(capsys, run_dir, twin, "--format", "json", "--dir", tmp_path / "out")[1])
    assert {row["figure"] for row in data["rows"]} >= {"executed_flops", "e2e_ratio", "e2e_s"}
    assert "4 ratios were judged" in data["conclusion"]
    text = compared(capsys, run_dir, twin, "--format", "md", "--dir", tmp_path / "out")[1]
    assert text.startswith("**")
    assert "| speedup over full_recompute | first | second | change |" in text
    assert compared(capsys, run_dir, twin, "--format", "csv", "--dir", tmp_path / "out")[1].startswith("cell,model")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["nowhere", "nowhere"], "does not exist"),
        (["x"], "the following arguments are required: B"),
        (["x", "y", "--margin", "2"], "2 is not allowed; give a share between 0 and 1 such as 0.05, or a percentage"),
        (["x", "y", "--gate-times", "--time-margin", "5%"], "--time-margin 0.05 is not allowed"),
        (["x", "y", "--time-margin", "20%"], "--time-margin judges nothing without --gate-times"),
        (["x", "y", "--gate-times", "--across-machines"], "times of two machines are not comparable; give one"),
    ],
)
def test_a_mistake_gets_one_line(tmp_path, monkeypatch, capsys, arguments, told):
    monkeypatch.chdir(tmp_path)
    assert told in refused(capsys, *arguments)
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_take_the_result_is_told_by_its_flag(run_dir, twin, capsys):
    error = refused(capsys, run_dir, twin, "--dir", run_dir / "run.json" / "x")
    assert "choose another by --dir DIR" in error
    error = refused(capsys, run_dir, twin, "--dir", run_dir)
    assert f"--dir {run_dir} holds a run that was measured" in error
    assert not (run_dir / "compare.csv").exists()


def test_the_example_that_leads_the_help_is_of_two_runs_that_one_makes(capsys):
    assert main(["compare", "--help"]) == 0
    examples = [line for line in capsys.readouterr().out.splitlines() if line.startswith("  python -m suites compare")]
    assert examples[0].split()[4:] == ["results/before", "results/after"]


def test_the_reference_run_is_comparable_without_its_raw_rounds(tmp_path, capsys):
    reference = ROOT / "results" / "reference" / "cpu"
    assert compared(capsys, reference, reference, "--dir", tmp_path / "out")[0] == 0
    run = read_run(reference)
    found, _ = compare_runs(run, run, match(run, run), 0.05, None, times=True)
    assert found.loc[found["kind"] == "time", "change_low"].isna().all()
    assert found.loc[found["kind"] == "ratio", "change_low"].notna().all()
    assert list(found.columns[: len(CASE) + 1]) == ["cell", *CASE]


def test_cases_on_other_hardware_are_refused_and_counted_unless_allowed(run_dir, twin, tmp_path, capsys):
    first = min(twin.glob("cells/*"))
    cases = len(json.loads((first / "arms.json").read_text()))
    edit_json(first / "environment.json", lambda content: content.update(cpu="Another CPU"))
    here = json.loads((run_dir / "environment.json").read_text())["cpu"]
    assert f"different machines (cpu {here} and Another CPU: {cases} cases)" in refused(capsys, run_dir, twin)
    code, text = compared(capsys, run_dir, twin, "--across-machines", "--dir", tmp_path / "out")
    assert code == 0
    assert f"hardware differs (cpu {here} and Another CPU: {cases} cases): times are left out" in " ".join(text.split())
    assert rows(tmp_path / "out", kind="time").empty
