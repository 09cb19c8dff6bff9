"""The wheel, installed away from the checkout, runs from any folder: configuration and weights are inside it."""

import os
import subprocess
import sys

import pytest

from suites.verbs import VERBS
from tests.command import ROOT, SMALL_MODEL


def pip(*arguments, folder):
    done = subprocess.run(
        [sys.executable, "-m", "pip", *arguments, "--quiet", "--disable-pip-version-check"],
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A folder that holds the installed wheel and nothing else; its dependencies are those of this environment."""
    folder = tmp_path_factory.mktemp("wheel")
    ignored = {".git", ".venv", "results", "build", "tests"}
    for entry in ROOT.iterdir():
        if entry.name not in ignored and not entry.name.startswith(".") and not entry.name.endswith("egg-info"):
            (folder / entry.name).symlink_to(entry)
    pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", folder / "dist", ".", folder=folder)
    (wheel,) = (folder / "dist").glob("decodebench-*.whl")
    pip("install", "--no-deps", "--target", folder / "site", wheel, folder=folder)
    return folder / "site"


def run(site, folder, *command):
    return subprocess.run(
        [sys.executable, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(site), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


def test_the_installed_package_is_the_one_that_runs_and_holds_its_data(site, tmp_path):
    names = "import conf, suites, strategies; print(conf.__file__, suites.__file__, strategies.__file__)"
    done = run(site, tmp_path, "-c", names)
    assert done.stdout.count(str(site)) == 3, done.stdout + done.stderr
    for package in ("conf", "strategies", "suites"):
        assert files(site / package) == files(ROOT / package)
    assert {"weights.safetensors", "vocabulary.json", "py.typed"} <= {path.name for path in files(site / "strategies")}
    assert not (site / "tests").exists()


def files(package):
    """Of a package: modules and data, relative to it."""
    found = (path for path in package.rglob("*") if path.is_file() and path.suffix != ".pyc")
    return {path.relative_to(package) for path in found}


def test_each_verb_tells_its_help(site, tmp_path):
    program = (
        "from suites.__main__ import main\n"
        "from suites.verbs import VERBS\n"
        "for verb in VERBS:\n"
        "    print('verb', verb, main([verb, '--help']))\n"
    )
    done = run(site, tmp_path, "-c", program)
    assert (done.returncode, done.stderr) == (0, "")
    assert [line for line in done.stdout.splitlines() if line.startswith("verb ")] == [f"verb {v} 0" for v in VERBS]
    assert done.stdout.count("usage: ") == len(VERBS)


def test_it_measures_from_another_folder(site, tmp_path):
    done = run(site, tmp_path, "-m", "suites", "run", "seq_len=4", *SMALL_MODEL, "measure=quick")
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "results" / "latest" / "plots" / "totals.png").exists()
    assert (tmp_path / "results" / "latest" / "report.html").exists()


def test_its_console_script_speaks(site, tmp_path):
    done = run(site, tmp_path, str(site / "bin" / "decodebench"), "list", "strategies")
    assert done.returncode == 0, done.stderr
    assert "full_recompute" in done.stdout
