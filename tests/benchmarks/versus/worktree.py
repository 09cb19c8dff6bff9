"""A revision of this repository in a temporary folder of its own."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class RevisionError(ValueError):
    """A revision that cannot be checked out. The message is one line."""


def _git(root: Path, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    # Variables of a git hook would point at another repository, and hooks of this one must not run in the worktree.
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    command = ["git", "-c", f"core.hooksPath={os.devnull}", *arguments]
    try:
        return subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise RevisionError("git is not installed; install it to compare revisions") from None


def commit_of(root: Path, revision: str) -> str:
    """Return the full id of a revision's commit. Raises RevisionError."""
    if _git(root, "rev-parse", "--git-dir").returncode:
        raise RevisionError(f"{root} is not a git repository; compare revisions in a clone")
    found = _git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    if found.returncode:
        raise RevisionError(f"unknown revision {revision!r}; give a commit, branch or tag of this clone")
    return found.stdout.strip()


@contextmanager
def worktree(root: Path, commit: str) -> Iterator[Path]:
    """Make a git worktree of the commit, and remove it on leaving, also after an error. Raises RevisionError."""
    with tempfile.TemporaryDirectory(prefix="decodebench-") as folder:
        tree = Path(folder) / "base"
        try:
            added = _git(root, "worktree", "add", "--detach", "--quiet", tree, commit)
            if added.returncode:
                raise RevisionError(f"no worktree of {commit[:9]}: {(added.stderr.strip() or '?').splitlines()[-1]}")
            yield tree
        finally:
            # Twice, since git locks a worktree while it is made.
            _git(root, "worktree", "remove", "--force", "--force", tree)
            _git(root, "worktree", "prune")
