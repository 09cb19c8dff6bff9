"""The study's machinery, on a study of seconds; ``make study`` runs the real one."""

import pytest

from tests.benchmarks import study
from tests.benchmarks.study import Sample, collect, plan, read
from tests.benchmarks.study_report import RULES, judge, shortened, write_report


def test_the_plan_mixes_all_comparisons():
    shares = plan()
    assert {share: shares.count(share) for share in set(shares)} == study.SHARES
    assert len(set(shares[:100])) == len(study.SHARES)


def test_samples_are_taken_kept_and_not_taken_again(tmp_path, monkeypatch):
    monkeypatch.setattr(study, "COMPARISON_S", 0.05)
    monkeypatch.setattr(study, "SHARES", {0.0: 1, 0.1: 1})
    path = tmp_path / "samples.jsonl"
    collect(path, 1, with_load=False)
    assert len(read(path)) == 1
    with path.open("a") as file:
        file.write('{"number": 7, "sha')
    assert len(read(path)) == 1
    collect(path, None, with_load=False)
    samples = read(path)
    assert sorted(sample.number for sample in samples) == [0, 1]
    assert all(len(s.first_s) == len(s.second_s) >= 1 for s in samples)


def sample(share: float, second: float, spread: float = 0.001) -> Sample:
    """Twelve rounds of one second beside ``second``, a little apart."""
    apart = [spread * (i % 3 - 1) for i in range(12)]
    return Sample(0, share, "a CPU", 1e-3, [1 + a for a in apart], [second - a for a in apart])


def test_both_rules_judge_the_same_samples(tmp_path):
    samples = [sample(0.0, 1.0), sample(0.0, 1.06), sample(0.03, 1.03), sample(0.03, 0.9), sample(0.05, 1.05)]
    found = judge(samples, RULES).set_index(["rule", "slowdown"])
    mine, medians = found.index.get_level_values("rule").unique()
    assert found.loc[(mine, 0.0), "found"] == found.loc[(medians, 0.0), "found"] == 1
    assert found.loc[(mine, 0.03), ["found", "wrong_sign"]].tolist() == [1, 1]
    assert found.loc[(medians, 0.03), ["found", "wrong_sign"]].tolist() == [0, 1]
    assert found.loc[(mine, 0.05), "found"] == 1
    # Wilson's interval for 1 of 2, by hand: (p + z^2/2n -+ z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n).
    assert found.loc[(mine, 0.0), ["low", "high"]].tolist() == pytest.approx([0.0945, 0.9055], abs=1e-3)
    write_report(samples, tmp_path)
    page = (tmp_path / "study.md").read_text()
    assert "| ours, margin 2 % | none (false alarms) | 2 | 1 | 50.0% [9.5%, 90.5%] | 0 |" in page
    assert (tmp_path / "images" / "study.png").exists()
    assert "| 6 | 1 of 2 | 1 of 2 | 1 of 1 | 1 |" in page


def test_a_comparison_cut_short_is_its_first_rounds():
    (cut,) = shortened([sample(0.0, 2.0)], 5)
    assert (cut.first_s, len(cut.second_s)) == (sample(0.0, 2.0).first_s[:5], 5)
