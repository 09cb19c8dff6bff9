"""Two revisions against one another: a planted slowdown is found, worktrees never stay, mistakes are one line."""

import math
import os
import re
import shutil
import signal
import subprocess
import sys
import time

import psutil
import pytest

from suites.statistics import Ratio
from tests.command import ROOT, SMALL_MODEL

from .versus import __main__ as command
from .versus.measure import BASE, OURS, Measured, judge
from .versus.worktree import RevisionError, commit_of, worktree

pytestmark = pytest.mark.skipif(shutil.which("git") is None, reason="git is not installed")
IDENTITY = {"GIT_AUTHOR_NAME": "a", "GIT_AUTHOR_EMAIL": "a@a", "GIT_COMMITTER_NAME": "a", "GIT_COMMITTER_EMAIL": "a@a"}
CLEAN = {name: value for name, value in os.environ.items() if not name.startswith("GIT")}
TINY = [*SMALL_MODEL, "seq_len=8", "strategies=[static_kv]"]
SLOW = "        step, k = self._step, self._step.length\n"


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


def test_a_step_that_sleeps_in_the_working_tree_is_slower_and_exits_1(clone, versus, tmp_path, monkeypatch):
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    session = clone / "strategies" / "session.py"
    text = session.read_text()
    assert SLOW in text
    session.write_text(text.replace(SLOW, f'{SLOW}        __import__("time").sleep(0.03)\n'))
    try:
        code, out, err = versus("HEAD", *TINY, "--launches", "3", "--rounds", "5")
    finally:
        session.write_text(text)
    assert code == 1, out + err
    (decode,) = (line for line in out.splitlines() if "| decode" in line)
    assert float(decode.split("|")[3]) > 2
    assert decode.split("|")[5].strip() == "slower"
    assert "Slower by more than 5%: static_kv (decode)." in out
    assert decode in (tmp_path / "summary.md").read_text()
    assert one_tree(clone)


def test_equal_trees_end_with_a_table(clone, versus, monkeypatch):
    monkeypatch.delenv("GITHUB_STEP_SUMMARY", raising=False)
    code, out, err = versus("HEAD", *TINY, "--launches", "2", "--rounds", "1")
    assert code in (0, 1), out + err
    assert len(re.findall(r"^\| static_kv +\| (?:prefill|decode) ", out, re.MULTILINE)) == 2
    assert one_tree(clone)


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
        git(clone, "rm", "--quiet", "suites/bench.py")
        git(clone, "commit", "--quiet", "-m", "no bench")
    finally:
        git(clone, "checkout", "--quiet", "-")
    code, out, err = versus("before", *TINY)
    assert code == 0, out + err
    (line,) = out.splitlines()
    assert re.fullmatch(r"nothing to compare: the packages of the base do not fit .*suites\.bench.* than before", line)
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
            seen.extend((tree, git(tree, "rev-parse", "HEAD").strip(), (tree / "suites" / "bench.py").exists()))
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
