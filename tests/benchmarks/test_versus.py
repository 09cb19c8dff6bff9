"""Two revisions against one another: a planted slowdown is found, worktrees never stay, mistakes are one line."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager

import psutil
import pytest

from suites.judging.ratios import Ratio
from tests.command import ROOT, SMALL_MODEL

from .versus import __main__ as command
from .versus.measure import BASE, OURS, Measured, judge
from .versus.worktree import RevisionError, commit_of, worktree

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@a"}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT")}
TINY = [*SMALL_MODEL, "seq_len=8", "strategies=[static_kv]"]
SLOW = "        k = self._step.length\n"


def git(folder, *arguments):
    done = subprocess.run(
        ["git", "-c", "core.hooksPath=", *arguments],
        cwd=folder,
        env={**CLEAN, **IDENTITY},
        capture_output=True,
        text=True,
        check=True,
    )
    return done.stdout


@pytest.fixture(scope="module")
def clone(tmp_path_factory):
    """A repository with one commit: the packages as they are, without weights."""
    root = tmp_path_factory.mktemp("clone")
    unwanted = shutil.ignore_patterns("__pycache__", "*.safetensors")
    for package in ("strategies", "suites", "conf", "tests/benchmarks"):
        shutil.copytree(ROOT / package, root / package, ignore=unwanted)
    shutil.copy(ROOT / "tests" / "__init__.py", root / "tests")
    (root / ".gitignore").write_text("__pycache__/\n")
    git(root, "init", "--quiet")
    git(root, "add", ".")
    git(root, "commit", "--quiet", "-m", "all")
    return root


@pytest.fixture
def versus(clone, monkeypatch, capsys):
    """The command in the clone: its exit code and what it printed."""
    monkeypatch.setattr(command, "ROOT", clone)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["versus", *arguments])
        with monkeypatch.context() as patch:
            patch.setattr(command.signal, "signal", lambda *of: None)
            code = command.main()
        return code, *capsys.readouterr()

    return run


def one_tree(clone):
    return len(git(clone, "worktree", "list").splitlines()) == 1


@contextmanager
def changed(file, old, new):
    """The file with a fault in it."""
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))
    try:
        yield
    finally:
        file.write_text(text)


def test_a_step_that_sleeps_in_the_working_tree_is_slower_and_exits_1(clone, versus, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    slow = f'{SLOW}        __import__("time").sleep(0.03)\n'
    with changed(clone / "strategies" / "session.py", SLOW, slow):
        code, out, err = versus("HEAD", *TINY, "--launches", "3", "--rounds", "5")
    assert code == 1, out + err
    (decode,) = (line for line in out.splitlines() if "| decode" in line)
    assert float(decode.split("|")[3]) > 2
    assert decode.split("|")[5].strip() == "slower"
    assert "Slower by more than 5%: static_kv (decode)." in out
    assert decode in (tmp_path / "summary.md").read_text()
    assert one_tree(clone)


def test_equal_trees_end_with_a_table(clone, versus, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    code, out, err = versus("HEAD", *TINY, "--launches", "2", "--rounds", "1", "--margin", "5%")
    verdicts = re.findall(r"^\| static_kv +\| (?:prefill|decode) .*\| (\w+) +\|$", out, re.MULTILINE)
    assert len(verdicts) == 2, out + err
    assert code == int("slower" in verdicts), out + err
    assert ("Slower by more than 5%" if code else "No slowdown beyond 5% is certain.") in out
    assert one_tree(clone)


def test_a_strategy_that_is_broken_in_the_working_tree_exits_1_by_name(clone, versus):
    with changed(clone / "strategies" / "session.py", SLOW, f'{SLOW}        raise RuntimeError("planted")\n'):
        code, out, err = versus("HEAD", *TINY, "--launches", "2", "--rounds", "1")
    assert code == 1, out + err
    assert "not compared (working tree: RuntimeError: planted)" in out
    assert out.rstrip().endswith("Broken in the working tree: static_kv. Nothing was compared.")


def test_a_strategy_that_the_base_lacks_is_no_failure_and_the_closing_sentence_says_what_was_compared():
    ratios = {("a", phase): [1.0] * 4 for phase in ("prefill", "decode")}
    rows = judge(Measured(ratios, {"b": f"{BASE}: no such"}), ["a", "b"], 0.05)
    assert [row.broken for row in rows] == [False, False, False]
    assert command._text(rows, 0.05).endswith("\n\nNo slowdown beyond 5% is certain.")
    assert command._text(rows[2:], 0.05).endswith("\n\nNothing was compared.")
    (broken,) = judge(Measured({}, {"b": f"{OURS}: KeyError"}), ["b"], 0.05)
    assert broken.broken
    assert command._text([*rows[:2], broken], 0.025).endswith(
        "\n\nBroken in the working tree: b. No slowdown beyond 2.5% is certain."
    )


def test_a_case_that_the_working_tree_cannot_decode_is_a_mistake_and_no_base_that_does_not_fit(versus, monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    code, out, err = versus("HEAD", *TINY, "device=cuda")
    assert (code, out) == (1, "")
    assert re.fullmatch(r"bench-compare: the working tree cannot set up this case \(\w+: .*\)", err.splitlines()[-1])


def test_a_base_that_fails_otherwise_than_by_what_it_lacks_is_a_failure(clone, versus):
    with changed(
        clone / "suites" / "settings" / "inputs.py",
        "from __future__ import annotations\n",
        'raise OSError("planted")\n',
    ):
        commit = git(clone, "stash", "create").strip()
    code, out, err = versus(commit, *TINY)
    assert (code, out) == (1, "")
    assert err.splitlines()[-1] == "bench-compare: the base cannot set up this case (OSError: planted)"


def test_a_mistaken_margin_is_one_line_that_names_the_command_once(versus):
    code, out, err = versus("HEAD", "--margin", "x")
    assert (code, out) == (1, "")
    assert err.startswith("bench-compare: argument --margin: x is not allowed; give a share between 0 and 1")
    assert len(err.splitlines()) == 1


def alive(process):
    try:
        return process.status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_an_interrupt_leaves_neither_worktree_nor_process_behind(clone):
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.versus", "HEAD", *TINY],
        cwd=clone,
        env={**CLEAN, "PYTHONPATH": str(clone), "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert process.stderr.readline().startswith("launch 1")
    assert not one_tree(clone)
    children = psutil.Process(process.pid).children()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert err.strip().splitlines()[-1] == "bench-compare: interrupted; the worktree is removed"
    assert one_tree(clone)
    # A child that was just being started ends by itself, at the end of its standard input.
    deadline = time.monotonic() + 30
    while any(map(alive, children)) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not any(map(alive, children))


def test_a_base_that_does_not_fit_is_told_in_one_line_and_is_no_failure(clone, versus):
    git(clone, "checkout", "--quiet", "-b", "before")
    try:
        git(clone, "rm", "--quiet", "suites/timing/one_round.py")
        git(clone, "commit", "--quiet", "-m", "no bench")
    finally:
        git(clone, "checkout", "--quiet", "-")
    code, out, err = versus("before", *TINY)
    assert code == 0, out + err
    (line,) = out.splitlines()
    wanted = r"nothing to compare: the packages of the base do not fit .*suites\.timing\.one_round.* than before"
    assert re.fullmatch(wanted, line)
    assert one_tree(clone)


def test_an_unknown_revision_is_one_line(clone, versus, tmp_path):
    for revision in ("no-such-branch", "--help", ""):
        with pytest.raises(RevisionError, match=f"unknown revision '{revision}'; give a commit, branch or tag"):
            commit_of(clone, revision)
    with pytest.raises(RevisionError, match="not a git repository"):
        commit_of(tmp_path, "HEAD")
    line = "bench-compare: unknown revision 'no-such-branch'; give a commit, branch or tag of this clone\n"
    assert versus("no-such-branch") == (1, "", line)


def test_a_worktree_holds_the_commit_and_goes_also_after_an_error(clone):
    commit, seen = commit_of(clone, "HEAD"), []

    def work():
        with worktree(clone, commit) as tree:
            one_round = tree / "suites" / "timing" / "one_round.py"
            seen.extend((tree, git(tree, "rev-parse", "HEAD").strip(), one_round.exists()))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        work()
    tree, *found = seen
    assert found == [commit, True]
    assert not tree.parent.exists()
    assert one_tree(clone)


def test_verdicts_need_margin_and_confidence():
    certain, slight, noisy = [1.10, 1.11, 1.10, 1.12], [1.030, 1.031, 1.030, 1.031], [0.9, 1.6, 0.8, 1.7]
    ratios = {(label, phase): [1.0] * 4 for label in ("a", "b", "c", "d") for phase in ("prefill", "decode")}
    ratios |= {("a", "decode"): certain, ("b", "decode"): slight, ("c", "decode"): noisy}
    rows = judge(Measured(ratios, {"d": f"{BASE}: no such"}), ["a", "b", "c", "d"], 0.05)
    found = {(row.strategy, row.phase): row.verdict for row in rows if row.ratio}
    assert found["a", "decode"] == "slower"
    assert found["b", "decode"] == found["a", "prefill"] == "indistinguishable"
    assert found["c", "decode"] == "undecided"
    assert [(row.strategy, row.reason) for row in rows if not row.ratio] == [("d", "base: no such")]
    assert OURS not in rows[-1].reason
    assert isinstance(rows[0].ratio, Ratio)
    assert not math.isnan(rows[0].ratio.p)
