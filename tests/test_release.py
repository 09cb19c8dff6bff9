"""A release: one version, on which changelog, tag and package agree, and a README that an index can show."""

import re
import shutil
import subprocess
import sys
import tomllib

import pytest
import yaml

import suites
from suites.__main__ import main
from suites.machine.environment import environment
from tests import release
from tests.command import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text())
README = (ROOT / "README.md").read_text()
CHANGES = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-01-31

## [1.1.0] - 2025-12-01
"""


@pytest.fixture
def tree(tmp_path):
    """A source tree of version 1.2.0."""
    (tmp_path / "suites").mkdir()
    (tmp_path / "suites" / "version.py").write_text('"""Version."""\n\n__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGES)
    shutil.copy(ROOT / "README.md", tmp_path)
    return tmp_path


def test_the_version_has_one_place(capsys):
    assert "version" not in PROJECT["project"]
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert PROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "suites.version.__version__"}
    assert "version" not in CITATION
    assert release.version(ROOT) == suites.__version__
    assert environment()["versions"]["decodebench"] == suites.__version__
    assert main(["--version"]) == 0
    assert capsys.readouterr().out == f"decodebench {suites.__version__}\n"


def test_the_newest_section_of_the_changelog_with_a_date_is_this_version():
    newest = release.released((ROOT / "CHANGELOG.md").read_text())[:1]
    assert newest in ([], [suites.__version__])


def test_the_citation_says_what_the_package_says():
    told = PROJECT["project"]
    assert CITATION["title"] == told["name"]
    assert CITATION["license"] == told["license"]
    assert CITATION["keywords"] == told["keywords"]
    (author,) = CITATION["authors"]
    assert f"Copyright (c) 2026 {author['name']}" in (ROOT / "LICENSE").read_text()


def test_a_tag_must_name_the_version_and_the_changelog_must_have_it(tree):
    release.demand_release(tree, "v1.2.0")
    with pytest.raises(SystemExit, match=r"the tag is v1\.3\.0, and suites/version\.py has 1\.2\.0: tag v1\.2\.0, or"):
        release.demand_release(tree, "v1.3.0")
    (tree / "CHANGELOG.md").write_text(CHANGES.replace("## [1.2.0] - 2026-01-31\n", ""))
    with pytest.raises(SystemExit, match=r"first section with a date is not '## \[1\.2\.0\] - YEAR-MONTH-DAY'"):
        release.demand_release(tree, "v1.2.0")


def test_links_of_the_readme_lead_into_the_repository_once_it_is_on_an_index(tree):
    subprocess.run([sys.executable, "-m", "tests.release", tree, "", "https://example.org/p"], cwd=ROOT, check=True)
    text = (tree / "README.md").read_text()
    targets = re.findall(r"\]\(([^)]+)\)", text)
    assert targets
    assert all(target.startswith(("https://", "#")) for target in targets)
    for target in targets:
        if target.startswith("https://example.org/p/"):
            kind, revision, path = target.removeprefix("https://example.org/p/").split("/", 2)
            assert (ROOT / path.partition("#")[0]).exists()
            assert (kind, revision) == ("raw" if path.endswith(".png") else "blob", "HEAD")


def test_without_a_project_the_readme_stays_as_it_is(tree):
    release.main(tree, "v1.2.0", "")
    assert (tree / "README.md").read_text() == README


def test_the_readme_and_the_first_run_say_how_to_install_it_and_for_which_python():
    (oldest,) = re.findall(r"^>=(3\.\d+)$", PROJECT["project"]["requires-python"])
    first_run = (ROOT / "docs" / "first-run.md").read_text()
    assert re.findall(r"^ {4}pip install .*$", README, re.MULTILINE) == [
        f"    pip install .                          # Python {oldest} or later"
    ]
    assert f"Python {oldest} or later" in first_run
    asked = re.findall(r"^ {4}pip install (\S+)", first_run, re.MULTILINE)
    assert asked == [".", "dist/decodebench-*.whl", PROJECT["project"]["name"]]
    extras = set(re.findall(r"'decodebench\[(\w+)\]'", README + first_run))
    assert extras <= set(PROJECT["project"]["optional-dependencies"])


def test_what_is_not_packages_stays_out_of_the_archive_of_sources():
    """The tests need the repository: its runs, its docs and its Makefile."""
    assert "prune tests" in (ROOT / "MANIFEST.in").read_text().splitlines()
