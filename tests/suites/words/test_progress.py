"""Progress in plain lines, where standard error is no terminal."""

import io
import re

import pytest
from rich.text import Text

from suites.words import progress
from suites.words.console import console
from suites.words.progress import Progress, ToldProgress


def test_work_that_counts_for_nothing_yet_is_no_error_and_says_nothing(monkeypatch, capsys):
    """So it is while the oracle, which was not asked for, is compiled or decodes before any arm has."""
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1.0)
    with Progress(10.0, 1) as told:
        told.cell("a cell")
        told.advance(0.0)
        assert capsys.readouterr().err == ""
        told.advance(5.0)
        assert "50%" in capsys.readouterr().err


def test_a_cell_that_begins_again_is_counted_once_and_its_lost_work_is_added(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1.0)
    with Progress(20.0, 2) as told:
        told.cell("first")
        told.advance(10.0)
        told.cell("second")
        told.expect(-4.0)
        told.advance(5.0)
        told.again()
        told.cell("second")
        capsys.readouterr()
        told.advance(5.0)
    assert capsys.readouterr().err.startswith("loading [2/2] second  80%, ")


def test_the_phase_comes_first_and_the_time_left_only_after_the_first_cell(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1.0)
    with Progress(20.0, 2) as told:
        told.cell("a cell")
        told.say("round 1 of 6")
        told.advance(8.0)
        assert capsys.readouterr().err == "round 1 of 6 [1/2] a cell  40%\n"
        told.cell("another")
        told.say("equality")
        told.advance(4.0)
        assert re.fullmatch(r"equality \[2/2\] another  60%, \d+:\d\d left\n", capsys.readouterr().err)


def test_a_single_cell_has_a_time_left_after_a_quarter_of_its_work(monkeypatch, capsys):
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1.0)
    with Progress(20.0, 1) as told:
        told.cell("a cell")
        told.advance(2.0)
        assert "left" not in capsys.readouterr().err
        told.advance(4.0)
        assert capsys.readouterr().err.endswith(" left\n")


@pytest.mark.parametrize("width", [60, 80, 109, 110, 160])
def test_a_terminal_has_the_phase_at_any_width_and_a_bar_where_there_is_room(monkeypatch, width):
    screen = io.StringIO()
    made = lambda **_: console(file=screen, force_terminal=True, width=width)  # noqa: E731
    monkeypatch.setattr(progress, "console", made)
    with Progress(20.0, 2) as told:
        told.cell("pronounce cpu batch 1, 40 -> 64 tokens")
        told.say("round 3 of 6")
        told.advance(8.0)
        told._bar.refresh()
        seen = Text.from_ansi(screen.getvalue().replace("\r", "\n")).plain.splitlines()
    shown = [line for line in seen if "round 3" in line][-1]
    assert shown.startswith("round 3 of 6 [1/2]")
    assert "40%" in shown
    assert len(shown.rstrip()) <= width
    assert "0:00:00" in shown
    assert len(re.findall("[━╸╺]", shown)) >= 23 if width >= progress.WIDE else not re.search("[━╸╺]", shown)


def test_the_progress_of_a_child_tells_each_call_and_shows_nothing(capsys):
    calls = []
    told = ToldProgress(lambda *call: calls.append(call))
    told.cell("a cell")
    told.say("memory")
    told.advance(2.0)
    told.expect(-1.0)
    told.skip("another", 0.0)
    assert calls == [
        ("cell", "a cell"),
        ("say", "memory"),
        ("advance", 2.0),
        ("expect", -1.0),
        ("skip", "another", 0.0),
    ]
    with Progress(10.0, 1) as shown:
        for method, *arguments in calls[:-1]:
            getattr(shown, method)(*arguments)
    assert capsys.readouterr() == ("", "")
