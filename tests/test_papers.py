"""What README and docs promise: their commands run, their example is a strategy, their links lead somewhere."""

import re
import shlex
import shutil

import pytest

from suites.__main__ import main
from tests import reference_card
from tests.command import ROOT, SMALL_MODEL, conformance_kit, suites
from tests.examples import COMMANDS, COMPILED, FILES, IN_COMMANDS, IN_README, README

MAKEFILE = (ROOT / "Makefile").read_text()
SMALL = [*(size for size in SMALL_MODEL if "num_heads" not in size), "model.num_heads=8"]
LENGTHS = ("seq_len", "batch_size")
FIRST_RUN = (ROOT / "docs" / "first-run.md").read_text()
TARGETS = sorted(set(re.findall(r"^ {4}make (\S+)", README + FIRST_RUN, re.MULTILINE)))


def test_both_make_targets_are_named_and_ci_runs_the_test_command_of_the_readme():
    assert {"run", "test"} <= set(TARGETS)
    assert "    make test " in README
    assert "make test" in (ROOT / ".ci" / "run").read_text()
    assert "-m suites run +sweep=seq_len" in MAKEFILE


def test_the_readme_has_nine_commands_at_most_and_their_page_has_them_all():
    lines = re.findall(r"^ {4}(?:python|pip|make|decodebench) .*$", README, re.MULTILINE)
    assert len(IN_README) <= len(lines) <= 9
    assert set(IN_README) <= set(IN_COMMANDS)


def test_the_first_screen_of_the_readme_has_scope_installation_a_command_an_answer_and_a_plot():
    screen = README.partition("\n## ")[0]
    asked = ["Which KV cache should", "docs/scope.md", "    pip install .", "    python -m suites run +sweep=seq_len"]
    places = [screen.index(text) for text in [*asked, "\n> ", "![", "One phrase, step by step"]]
    assert places == sorted(places)
    assert 1 <= len(re.findall(r"^> .*$", screen, re.MULTILINE)) <= 3, "the lines of the decision card"


def test_the_answer_in_the_readme_is_the_card_of_the_reference_run():
    assert reference_card.BLOCK.findall(README) == [reference_card.quoted()], "python -m tests.reference_card mends it"


@pytest.mark.parametrize("target", TARGETS)
def test_every_make_target_that_is_shown_exists(target):
    assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A folder in which ``run`` has left its results."""
    folder = tmp_path_factory.mktemp("finished")
    suites("run", *SMALL, "seq_len=4", "measure=quick", folder=folder, check=True)
    return folder


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_to_copy_runs(command, tmp_path, monkeypatch, request):
    """With the shortest lengths and the fewest rounds, which the command's own overrides give way to.

    The main job alone draws its figures. It and narrower weights have the embedded model, all others a small one.
    """
    arguments = shlex.split(command)[3:]
    verb = arguments[0]
    if {"model=checkpoint", "model=t5"} & set(arguments):
        pytest.skip("asks for the reader's own checkpoint; test_run_checkpoint.py runs one")
    if command == COMPILED:
        pytest.skip("compiles; test_executions.py runs it")
    if verb == "run" and not {"--help", "--resume"} & set(arguments):
        swept = next((a.removeprefix("+sweep=") for a in arguments if a.startswith("+sweep=")), None)
        is_main = arguments == ["run", "+sweep=seq_len"]
        small = not is_main and not any(a.startswith("weights=") for a in arguments)
        kept = [a for a in arguments if not a.startswith(("model=", "measure=", "seq_len=", "batch_size="))]
        lengths = [f"{swept}=4,6"] if swept in LENGTHS else []
        lengths += [] if swept == "seq_len" else ["seq_len=5"]
        arguments = [*kept, *lengths, *(SMALL if small else []), "measure=quick", "report=false"]
        arguments += [] if is_main else ["plots=false"]
    if verb == "shapes":
        monkeypatch.setattr("suites.plots.ledger.draw", lambda *_: [])
        arguments += ["model=tiny", "seq_len=4"] if "--module" in arguments else ["strategies=[static_kv]"]
    if verb == "profile":
        arguments += [*SMALL, "seq_len=8", "--steps", "2"]
    if verb in ("plot", "report", "history", "collect") or "--resume" in arguments:
        shutil.copytree(request.getfixturevalue("finished"), tmp_path, symlinks=True, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == 0  # in this process, as starting another twenty times is most of the time


def test_the_strategy_of_the_docs_passes_the_kit(tmp_path):
    for folder in ("conf", "strategies", "suites"):
        ignore = shutil.ignore_patterns("__pycache__", "*.safetensors")
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=ignore)
    (tmp_path / "tests").mkdir()
    shared = ("conftest.py", "frozen.py", "kit.py", "smaller.py")
    kit = (*shared, *(f"test_conformance{of}.py" for of in ("", "_beams", "_prefix")))
    for file in ("pyproject.toml", *(f"tests/{name}" for name in kit)):
        shutil.copy(ROOT / file, tmp_path / file)
    (tmp_path / "strategies" / "chunked_kv.py").write_text(FILES["strategies/chunked_kv.py"])
    done = conformance_kit(tmp_path, "-k", "chunked_kv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert int(re.search(r"(\d+) passed", done.stdout)[1]) > 10


@pytest.mark.parametrize("page", sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]), ids=lambda p: p.name)
def test_every_relative_link_leads_somewhere(page):
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL))
    broken = [link for link in links if "://" not in link and not (page.parent / link).exists()]
    assert not broken
