"""Converted models are used by what converted them alone."""

import os

import pytest

from suites.contenders.exported import made_folder
from suites.contenders.exported.made_folder import versioned
from suites.contenders.running.cache import IN_USE_S


@pytest.fixture
def name_with(monkeypatch):
    """The name of a folder where the library "a" has a version."""

    def named(number):
        monkeypatch.setattr(made_folder, "version", lambda library: number)
        return versioned.__wrapped__("kind", "a")

    return named


def test_the_name_depends_on_versions(name_with):
    assert name_with("1") == name_with("1") != name_with("2")
    assert name_with("1").startswith("kind-")


def test_the_name_depends_on_sources(name_with, monkeypatch, tmp_path):
    before = name_with("1")
    monkeypatch.setattr(made_folder, "__file__", str(tmp_path / "made_folder.py"))
    assert name_with("1") != before


def test_those_of_other_versions_are_removed_unless_in_use_and_no_other_kind_is(tmp_path):
    for name, age_s in (("kind-1", 2 * IN_USE_S), ("kind-2", IN_USE_S / 2), ("kind_int8-1", 2 * IN_USE_S)):
        (tmp_path / name).mkdir()
        now_s = (tmp_path / name).stat().st_mtime
        os.utime(tmp_path / name, (now_s - age_s, now_s - age_s))
    folder = made_folder.made_folder(tmp_path / "checkpoint", "kind-3", lambda part: part.mkdir())
    assert {entry.name for entry in tmp_path.iterdir()} == {folder.name, "kind-2", "kind_int8-1"}
