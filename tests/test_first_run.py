"""docs/first-run.md shows commands with their output; `make first-run` makes both anew."""

import re
import shlex
import subprocess
import sys

import pytest

from suites.__main__ import main
from suites.verbs import VERBS
from tests import first_run

PAGE = first_run.PAGE.read_text("utf-8")
BLOCKS = {block["command"]: block["output"] for block in first_run.BLOCK.finditer(PAGE)}


def test_the_page_shows_what_a_first_run_and_decode_print():
    assert [shlex.split(command)[3] for command in BLOCKS] == ["decode", "run"]
    assert all(shlex.split(command)[3] in VERBS for command in BLOCKS)
    assert all(len(output.splitlines()) >= 2 for output in BLOCKS.values())


def test_its_pictures_are_those_that_are_made_anew():
    shown = set(re.findall(r"\(images/first-run/(\w+)\.png\)", PAGE))
    assert shown == {*first_run.PLOTS, "report"} == {path.stem for path in first_run.PICTURES.iterdir()}


def test_the_phonemes_on_the_page_are_those_that_the_model_says(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (command,) = (command for command in BLOCKS if " decode " in command)
    assert main(shlex.split(command)[3:]) == 0
    said = capsys.readouterr().out.splitlines()
    assert BLOCKS[command].splitlines()[:3] == said[:3]
    assert BLOCKS[command].splitlines()[-1].partition(":")[0] == said[-1].partition(":")[0]


def test_a_command_is_run_in_a_terminal_of_80_columns_and_its_styles_are_left_out(tmp_path):
    code = "import os; print(os.get_terminal_size(1).columns, '\\x1b[1mbold\\x1b[0m  ')"
    assert first_run.in_a_terminal([sys.executable, "-c", code], tmp_path) == "80 bold"


def test_a_command_that_fails_changes_nothing(tmp_path):
    with pytest.raises(subprocess.CalledProcessError):
        first_run.in_a_terminal([sys.executable, "-c", "raise SystemExit(1)"], tmp_path)


def test_the_output_of_a_command_that_was_not_run_stays():
    assert first_run.shown(PAGE, {}) == PAGE
