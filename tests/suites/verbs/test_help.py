"""Help fits a terminal of 80 columns, and mistakes in it are one line."""

from dataclasses import fields

import pytest

from strategies.search.options import SEARCHES
from suites.__main__ import main
from suites.settings.search import SearchConfig
from suites.verbs import VERBS


@pytest.mark.parametrize("topic", [[], ["metrics"]])
def test_help_of_run_fits_80_columns(topic, capsys):
    assert main(["run", "--help", *topic]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


@pytest.mark.parametrize("verb", [verb for verb in VERBS if verb != "completion"])
def test_what_is_no_command_to_copy_fits_80_columns(verb, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "82")  # argparse leaves two columns free
    assert main([verb, "--help"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert not [line for line in lines if len(line) > 80 and "python -m suites" not in line]


def test_the_help_of_the_whole_command_fits_80_columns(capsys):
    assert main(["--help"]) == 0
    assert max(map(len, capsys.readouterr().out.splitlines())) <= 80


def test_the_help_of_run_names_each_key_of_a_search_with_its_default(capsys):
    assert main(["run", "--help"]) == 0
    told = capsys.readouterr().out
    for field in fields(SearchConfig):
        assert f"  search.{field.name}={str(field.default).lower()}" in told
    assert all(f"  search={name} " in told for name in SEARCHES)


def test_metrics_are_a_topic_of_their_own(capsys):
    assert main(["run", "--help"]) == 0
    assert "itl_s" not in capsys.readouterr().out
    assert main(["run", "seq_len=8", "--help", "metrics"]) == 0
    assert "inter-token latency" in capsys.readouterr().out


def test_an_unknown_topic_is_told_in_one_line(capsys):
    assert main(["run", "--help", "keys"]) == 1
    told = capsys.readouterr().err
    assert told == "decodebench: run --help keys: there is no such topic; give --help or --help metrics\n"
