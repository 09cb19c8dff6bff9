"""Progress in plain lines, where standard error is no terminal."""

import io
import re
import sys
import threading

import pytest
from rich.text import Text

from suites.words import progress_line
from suites.words.console import console
from suites.words.progress import Progress, ToldProgress


def test_work_that_counts_for_nothing_yet_is_no_error_and_says_nothing(monkeypatch, capsys):
    """So it is while the oracle, which was not asked for, is compiled or decodes before any arm has."""
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
    with Progress(10.0, 1) as told:
        told.cell("a cell")
        told.advance(0.0)
        assert capsys.readouterr().err == ""
        told.advance(5.0)
        assert "50%" in capsys.readouterr().err


def test_a_cell_that_begins_again_is_counted_once_and_its_lost_work_is_added(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
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


def test_each_worker_takes_back_its_own_cell_and_the_line_shows_what_all_are_doing(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
    with Progress(40.0, 4) as told, told.part() as one, told.part() as other:
        one.cell("first")
        one.advance(8.0)
        other.cell("second")
        other.say("round 2 of 3")
        other.advance(4.0)
        assert capsys.readouterr().err.splitlines()[-1] == "loading [1/4], round 2 of 3 [2/4]  30%"
        one.again()
        one.cell("first")
        one.advance(2.0)
        assert capsys.readouterr().err == "loading [1/4], round 2 of 3 [2/4]  29%\n"  # 14 of 48
        other.cell("third")
        other.advance(2.0)
        assert capsys.readouterr().err.startswith("loading [1/4], loading [3/4]  33%, ")


def test_a_worker_that_has_nothing_more_to_do_leaves_the_line_to_the_others(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
    with Progress(40.0, 2) as told, told.part() as one:
        one.cell("first")
        with told.part() as other:
            other.cell("second")
        one.advance(10.0)
    assert re.fullmatch(r"loading \[1/2\] first  25%, \d+:\d\d left\n", capsys.readouterr().err)  # one is measured


def test_no_work_is_lost_where_many_workers_advance_at_once(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
    told, before = Progress(8000.0, 8), sys.getswitchinterval()

    def work():
        with told.part() as mine:
            mine.cell("one of many")
            for _ in range(500):
                mine.advance(1.0)

    sys.setswitchinterval(1e-6)
    try:
        with told:
            workers = [threading.Thread(target=work) for _ in range(8)]
            for worker in workers:
                worker.start()
            for worker in workers:
                worker.join()
    finally:
        sys.setswitchinterval(before)
    lines = capsys.readouterr().err.splitlines()
    assert "50%" in lines[-1]
    assert len(lines) == 4000


def test_a_cell_that_is_left_out_is_counted_and_its_work_is_not(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
    with Progress(20.0, 2) as told:
        told.leave_out(10.0)
        told.cell("second")
        told.advance(5.0)
    assert capsys.readouterr().err == "loading [2/2] second  50%\n"


def test_the_phase_comes_first_and_the_time_left_only_after_the_first_cell(monkeypatch, capsys):
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
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
    monkeypatch.setattr(progress_line, "PLAIN_EVERY_S", -1.0)
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
    monkeypatch.setattr(progress_line, "console", made)
    with Progress(20.0, 2) as told:
        told.cell("pronounce cpu batch 1, 40 -> 64 tokens")
        told.say("round 3 of 6")
        told.advance(8.0)
        told._line.bar.refresh()
        seen = Text.from_ansi(screen.getvalue().replace("\r", "\n")).plain.splitlines()
    shown = [line for line in seen if "round 3" in line][-1]
    assert shown.startswith("round 3 of 6 [1/2]")
    assert "40%" in shown
    assert len(shown.rstrip()) <= width
    assert "0:00:00" in shown
    assert len(re.findall("[━╸╺]", shown)) >= 23 if width >= progress_line.WIDE else not re.search("[━╸╺]", shown)


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
