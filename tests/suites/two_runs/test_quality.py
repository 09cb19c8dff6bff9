"""``compare``: what became of the quality of an approximate strategy."""

import pytest

from suites.plots.comparison import figure, message
from suites.reporting.charts.change import charts

from .folders import compared, edit, rows

QUALITY = {"exact": 0, "choices": 400, "kl_nats": 0.001, "kl_max_nats": 0.04, "top1_equal": 0.99,
           "sequences_equal": 0.75, "token_error": 0.02, "phoneme_error": 0.09, "phoneme_error_words": 500}  # fmt: skip


@pytest.fixture
def lossy(tables):
    """Two runs in which static_kv is approximate, with the same quality."""
    for run in tables:
        for column, value in QUALITY.items():
            edit(run, column, "static_kv", lambda _, value=value: value)
    return tables


@pytest.mark.parametrize(("figure", "value"), [("kl_nats", 0.002), ("top1_equal", 0.98), ("phoneme_error", 0.1)])
def test_a_worse_quality_fails_and_a_better_one_is_told(lossy, tmp_path, capsys, figure, value):
    first, second = lossy
    edit(second, figure, "static_kv", lambda _: value)
    code, text = compared(capsys, first, second, "--dir", tmp_path / "out")
    assert code == 1
    assert text.startswith(f"The second run is worse: the quality of static_kv is worse: {figure} (the worst of 2")
    assert f"static_kv, quality, {figure}" in text
    code, text = compared(capsys, second, first, "--dir", tmp_path / "out")
    assert code == 0
    assert set(rows(tmp_path / "out", figure=figure)["verdict"]) == {"better"}


def test_rounding_changes_no_quality(lossy, tmp_path, capsys):
    first, second = lossy
    edit(second, "kl_nats", "static_kv", lambda _: 1.005 * QUALITY["kl_nats"])
    assert compared(capsys, first, second, "--dir", tmp_path / "out")[0] == 0
    assert set(rows(tmp_path / "out", kind="quality")["verdict"]) == {"same"}


@pytest.mark.parametrize(
    ("figure", "value"),
    [("top1_equal", 0.99 - 1 / 400), ("kl_nats", 0.001 + 0.04 / 400), ("phoneme_error", 0.09 + 2.4 / 500)],
)
def test_one_choice_or_one_long_word_that_turns_changes_no_quality(lossy, tmp_path, capsys, figure, value):
    first, second = lossy
    edit(second, figure, "static_kv", lambda _: value)
    assert compared(capsys, first, second, "--dir", tmp_path / "out")[0] == 0
    assert set(rows(tmp_path / "out", kind="quality")["verdict"]) == {"same"}


@pytest.mark.parametrize(("figure", "value"), [("kl_max_nats", 0.08), ("sequences_equal", 0.5), ("token_error", 0.03)])
def test_what_hangs_on_one_step_or_on_few_sentences_is_told_and_fails_nothing(lossy, tmp_path, capsys, figure, value):
    first, second = lossy
    edit(second, figure, "static_kv", lambda _: value)
    code, text = compared(capsys, first, second, "--dir", tmp_path / "out")
    assert code == 0
    assert f"static_kv, quality, {figure}" in text
    assert set(rows(tmp_path / "out", figure=figure)["verdict"]) == {"worse"}


def test_a_strategy_that_became_approximate_is_worse(lossy, tmp_path, capsys):
    first, second = lossy
    for column, value in {**dict.fromkeys(QUALITY, ""), "exact": 1}.items():
        edit(first, column, "static_kv", lambda _, value=value: value)
    code, text = compared(capsys, first, second, "--dir", tmp_path / "out")
    assert code == 1
    assert "the quality of static_kv is worse: exact" in text


def test_exact_strategies_have_no_quality_to_compare(tables, tmp_path, capsys):
    compared(capsys, *tables, "--dir", tmp_path / "out")
    assert rows(tmp_path / "out", kind="quality").empty


def test_the_plot_and_the_chart_name_approximate_strategies_so_and_count_what_is_worse(lossy, tmp_path, capsys):
    first, second = lossy
    edit(second, "kl_nats", "static_kv", lambda _: 0.002)
    compared(capsys, first, second, "--dir", tmp_path / "out")
    found = rows(tmp_path / "out").fillna({"gate": ""})
    worse = int((found["figure"] == "kl_nats").sum())
    assert message(found, 0.02).endswith(f"; {worse} figures of approximate strategies' quality are worse")
    drawn = figure(found, 0.02)
    legend = [text.get_text() for axes in drawn.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    assert "static_kv (approximate)" in legend
    assert "static_kv" not in legend
    (chart,) = charts(found, 0.02)
    assert {row["label"] for row in chart.spec["datasets"]["rows"]} == set(legend)
