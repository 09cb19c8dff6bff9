"""Completion as a shell has it: what is offered after a beginning, in the shells that are installed."""

import shutil
import subprocess

import pytest

from strategies import registry
from suites.__main__ import main
from suites.settings.catalog import group
from suites.verbs import VERBS
from suites.verbs.completion import script, words_of

ASK = """
source "$1"
COMP_LINE="$2"; COMP_POINT=${#COMP_LINE}
# As readline splits: "=" is a word of its own.
COMP_WORDS=($(sed 's/=/ = /g' <<< "$COMP_LINE")); [[ "$COMP_LINE" == *" " ]] && COMP_WORDS+=("")
COMP_CWORD=$(( ${#COMP_WORDS[@]} - 1 ))
compopt() { :; }
_decodebench
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture
def offered(tmp_path):
    """``offered("decodebench run mod")``: what bash would put in place of the last word, or after its "="."""
    path = tmp_path / "decodebench"
    path.write_text(script("bash"))

    def ask(line):
        done = subprocess.run(["bash", "-c", ASK, "bash", path, line], capture_output=True, text=True, check=True)
        assert done.stderr == ""
        return done.stdout.split()

    return ask


def test_verbs_are_offered_first(offered):
    assert set(offered("decodebench ")) == {*VERBS, "--help", "--version"}
    assert offered("decodebench rep") == ["report"]


def test_a_value_is_offered_after_its_key_alone_as_bash_breaks_words_there(offered):
    assert set(offered("decodebench run model=")) == set(group("model"))
    assert offered("decodebench run model=sha") == ["shazeer2019"]
    assert set(offered("decodebench run +sweep=s")) == {name for name in group("sweep") if name.startswith("s")}
    assert set(registry()) <= set(offered("decodebench run strategies="))


def test_a_key_is_offered_with_its_values(offered):
    assert "seq_len=" in offered("decodebench run seq")
    assert set(offered("decodebench run search=")) == {"greedy", "beam", "sample"}
    assert set(offered("decodebench run search.early_stopping=")) == {"true", "false", "never"}
    assert offered("decodebench run search.num_b") == ["search.num_beams="]
    assert {"device=cpu", "device=cuda"} <= set(offered("decodebench profile dev"))


def test_nothing_is_offered_for_what_is_no_verb(offered):
    assert offered("decodebench nothing at") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_shell_accepts_the_script(shell, tmp_path):
    if shutil.which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    path = tmp_path / "script"
    path.write_text(script(shell))
    done = subprocess.run([shell, "-n", path], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_each_script_knows_every_word(shell):
    text = script(shell)
    assert all(word in text for verb in VERBS for word in words_of(verb))


@pytest.mark.parametrize("verb", VERBS)
def test_flags_are_those_of_the_verbs_help(verb, capsys):
    assert main([verb, "--help"]) == 0
    told = capsys.readouterr().out
    assert all(word in told for word in words_of(verb) if word.startswith("--") and word != "--help")
    usage = told.partition("\n\n")[0]
    assert {word.strip("[],") for word in usage.split() if word.startswith("[--")} <= {*words_of(verb), "--help"}


def test_folders_are_offered_where_runs_are_asked_for(offered, tmp_path, monkeypatch):
    (tmp_path / "results").mkdir()
    monkeypatch.chdir(tmp_path)
    assert "results" in offered("decodebench report ")


def test_another_shell_is_one_line(capsys):
    assert main(["completion", "tcsh"]) == 1
    assert capsys.readouterr().err == "decodebench: completion: tcsh: give one of bash, zsh, fish\n"
