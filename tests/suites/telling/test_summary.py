"""The closing summary: what is printed below the ranked tables."""

from suites.telling.card import COMMAND
from suites.telling.summary import print_summary

from .test_card import QUIET, table_of


def test_a_command_is_a_line_of_its_own_whatever_the_width(tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "60")
    command = f"{COMMAND}run " + " ".join(f"key{n}='several words'" for n in range(20))
    print_summary(tmp_path, table_of(QUIET), [["a first line", f"Next, to see {'what ' * 20}else: {command}"]])
    assert f"\n  {command}\n" in capsys.readouterr().out
