"""Converted models are used by what converted them alone."""

import os

import pytest

from suites.contenders import registry
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


@pytest.fixture
def asked_anew():
    """Names of folders are asked anew after the test."""
    yield
    versioned.cache_clear()


@pytest.mark.parametrize("contender", ["ctranslate2_float32", "onnxruntime_int8", "openvino_float32"])
def test_a_new_version_of_a_library_has_a_folder_of_its_own(monkeypatch, asked_anew, contender):
    made = registry()[contender]
    names = set()
    for newer in ("", *made.requires):
        monkeypatch.setattr(made_folder, "version", lambda library, newer=newer: "2" if library == newer else "1")
        versioned.cache_clear()
        names.add(made().converted)
    assert len(names) == 1 + len(made.requires)


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
