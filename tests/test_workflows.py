"""Workflows, issue forms and CITATION.cff: each holds to its schema, and what a schema cannot see holds too."""

import re
import subprocess
import sys

import pytest
import yaml

from tests.command import ROOT

GITHUB = ROOT / ".github"
WORKFLOWS = {path.stem: yaml.safe_load(path.read_text()) for path in sorted((GITHUB / "workflows").glob("*.y*ml"))}
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").iterdir() if path.name != "config.yml")
JOBS = {(file, name): job for file, workflow in WORKFLOWS.items() for name, job in workflow["jobs"].items()}
MAKEFILE = (ROOT / "Makefile").read_text()
PHONY = re.search(r"^\.PHONY: ((?:.*\\\n)*.*)", MAKEFILE, re.MULTILINE)[1].replace("\\", " ").split()


def lint(schema, *files):
    """check-jsonschema with a schema that it brings along: no network is used."""
    command = [sys.executable, "-m", "check_jsonschema", "--no-cache", "--builtin-schema", schema, *map(str, files)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)


@pytest.mark.parametrize("schema", ["vendor.github-workflows", "custom.github-workflows-require-timeout"])
def test_every_workflow_holds_to_the_schema(schema):
    done = lint(schema, *(GITHUB / "workflows").iterdir())
    assert done.returncode == 0, done.stdout + done.stderr


def test_a_workflow_with_a_misspelt_key_would_not(tmp_path):
    text = (GITHUB / "workflows" / "release.yml").read_text()
    wrong = tmp_path / "wrong.yml"
    wrong.write_text(text.replace("runs-on:", "run-on:", 1))
    assert wrong.read_text() != text
    assert lint("vendor.github-workflows", wrong).returncode == 1


def test_issue_forms_and_the_citation_hold_to_their_schemas():
    assert FORMS
    for schema, files in {
        "vendor.github-issue-forms": FORMS,
        "vendor.github-issue-config": [GITHUB / "ISSUE_TEMPLATE" / "config.yml"],
        "vendor.citation-file-format": [ROOT / "CITATION.cff"],
    }.items():
        done = lint(schema, *files)
        assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize(("file", "name"), JOBS)
def test_a_job_needs_jobs_that_are_there_and_runs_make_targets_alone(file, name):
    job = JOBS[file, name]
    assert job.get("needs", name) in WORKFLOWS[file]["jobs"]
    for step in job["steps"]:
        if "run" in step:
            target = re.fullmatch(r"make ([\w-]+)", step["run"])[1]
            assert target in PHONY
            assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE)
        else:
            assert re.fullmatch(r"(actions|pypa)/[\w-]+@(v\d+|release/v1)", step["uses"])


@pytest.mark.parametrize("file", WORKFLOWS)
def test_an_artifact_that_is_downloaded_was_uploaded_under_that_name(file):
    steps = [(name, step) for name, job in WORKFLOWS[file]["jobs"].items() for step in job["steps"]]
    named = {
        kind: {
            step["with"]["name"] for _, step in steps if step.get("uses", "").startswith(f"actions/{kind}-artifact@")
        }
        for kind in ("upload", "download")
    }
    assert named["download"] == named["upload"]


@pytest.mark.parametrize("file", WORKFLOWS)
def test_a_workflow_reads_and_only_what_publishes_may_do_more(file):
    assert WORKFLOWS[file]["permissions"] == {"contents": "read"}
    more = {name for name, job in WORKFLOWS[file]["jobs"].items() if "permissions" in job}
    assert more == ({"publish", "pages"} if file == "release" else set())
    for name in more:
        job = WORKFLOWS[file]["jobs"][name]
        assert job["permissions"]["id-token"] == "write"
        assert not any("run" in step or "checkout" in step["uses"] for step in job["steps"]), "no code of ours runs"


def test_a_package_is_published_on_a_tag_alone_and_after_its_wheel_ran_the_main_job():
    workflow = WORKFLOWS["release"]
    jobs = workflow["jobs"]
    assert workflow[True]["push"]["tags"] == ["v*"], "YAML reads the key `on` as true"
    assert jobs["publish"]["if"] == "github.event_name == 'push' && github.ref_type == 'tag'"
    assert (jobs["publish"]["needs"], jobs["install"]["needs"]) == ("install", "build")
    assert [step["run"] for step in jobs["install"]["steps"] if "run" in step] == ["make dist-check"]
    recipe = re.search(r"^dist-check:\n((?:\t.*\n)+)", MAKEFILE, re.MULTILINE)[1]
    assert "pip install --quiet --disable-pip-version-check dist/decodebench-*.whl" in recipe
    assert "decodebench run +sweep=seq_len" in recipe
    secrets = (GITHUB / "workflows" / "release.yml").read_text().count("secrets.")
    assert secrets == 0, "trusted publishing has no password"


def test_the_oldest_python_that_is_supported_is_one_that_the_wheel_is_tried_with():
    (oldest,) = re.findall(r'^requires-python = ">=(3\.\d+)"$', (ROOT / "pyproject.toml").read_text(), re.MULTILINE)
    assert oldest in WORKFLOWS["release"]["jobs"]["install"]["strategy"]["matrix"]["python-version"]
