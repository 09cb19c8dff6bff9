"""Files of conf/ that a user has added and that cannot be used are refused in one line, which names the file."""

import shutil

import pytest

from strategies import ModelError, ModelSpec, config_of
from suites.settings.catalog import mapping_of
from suites.settings.config import ConfigError
from suites.settings.overrides import read_overrides
from suites.settings.own_package import CONF

BAD = {
    "a: [1\n": "line 2 cannot be read as YAML: expected ',' or ']'",
    "3\n": "holds int, not keys with values",
    "- 1\n": "holds list, not keys with values",
    "a: \x01\n": "cannot be read as YAML: unacceptable character",
}


@pytest.fixture
def conf(tmp_path, monkeypatch):
    shutil.copytree(CONF, tmp_path / "conf")
    monkeypatch.setattr("suites.settings.catalog.CONF", tmp_path / "conf")
    return tmp_path / "conf"


@pytest.mark.parametrize("group", ["model", "measure", "sweep"])
@pytest.mark.parametrize("text", BAD)
def test_a_file_that_is_no_mapping_is_named_with_its_fault(conf, group, text):
    (conf / group / "mine.yaml").write_text(text)
    key = "+sweep" if group == "sweep" else group
    with pytest.raises(ConfigError, match=r"mend the file$") as raised:
        read_overrides([f"{key}=mine"])
    assert f"conf/{group}/mine.yaml" in str(raised.value)
    assert BAD[text] in str(raised.value)
    assert "\n" not in str(raised.value)


def test_bytes_that_are_no_text_are_told(conf):
    (conf / "model" / "mine.yaml").write_bytes(b"\xff\xfe\x00a")
    with pytest.raises(ConfigError, match=r"mine\.yaml.* cannot be read as YAML"):
        read_overrides(["model=mine"])


def test_an_option_that_the_others_of_a_file_leave_without_effect_is_named(conf):
    sizes = "architecture: bart\nsinusoid_order: halves\n"
    (conf / "model" / "mine.yaml").write_text(sizes)
    with pytest.raises(
        ConfigError, match=r"^conf/model/mine\.yaml: sinusoid_order has no effect with learned positions"
    ):
        read_overrides(["model=mine"])
    (conf / "model" / "mine.yaml").write_text(f"{sizes}encoder_positions: sinusoidal\n")
    read_overrides(["model=mine"])


def test_every_file_of_ours_can_be_read():
    assert all(mapping_of(file.parent.name, file.stem) for file in CONF.glob("*/*.yaml"))


def test_an_empty_model_says_which_sizes_it_needs():
    with pytest.raises(ModelError, match=r"needs vocab_size, d_model, .*; add them to its file in conf/model/"):
        config_of(ModelSpec.of({}))
