"""Progress in plain lines, where standard error is no terminal."""

from suites.words import progress
from suites.words.progress import Progress


def test_work_that_counts_for_nothing_yet_is_no_error_and_says_nothing(monkeypatch, capsys):
    """So it is while the oracle, which was not asked for, is compiled or decodes before any arm has."""
    monkeypatch.setattr(progress, "PLAIN_EVERY_S", -1.0)
    with Progress(10.0, 1) as told:
        told.cell("a cell")
        told.advance(0.0)
        assert capsys.readouterr().err == ""
        told.advance(5.0)
        assert "50%" in capsys.readouterr().err
