"""Progress in plain lines, where standard error is no terminal."""

from suites.words import progress
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
    assert capsys.readouterr().err.startswith("[2/2] second  80%")


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
