"""Settings of generation that a checkpoint holds and that are not followed here: which, and that it is said."""

import json

import pytest

from strategies.models.checkpoints.generation import WITHOUT_EFFECT, not_followed
from suites.beforehand import told
from suites.config import RunConfig

SUMMARY = {"num_beams": 4, "min_length": 30, "no_repeat_ngram_size": 3, "length_penalty": 2.0, "pad_token_id": 0}
ASKED = {"num_beams": 4, "min_length": 30, "no_repeat_ngram_size": 3}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"generation_config.json": SUMMARY, "config.json": {}}, ("generation_config.json", ASKED)),
        ({"generation_config.json": {}, "config.json": SUMMARY}, ("generation_config.json", {})),
        ({"config.json": SUMMARY}, ("config.json", ASKED)),
        ({"config.json": {"num_beams": 1, "suppress_tokens": [], "do_sample": None}}, ("config.json", {})),
        ({"config.json": {"suppress_tokens": [3]}}, ("config.json", {"suppress_tokens": [3]})),
    ],
)
def test_what_would_choose_other_tokens_is_found_where_transformers_reads_it(tmp_path, files, wanted):
    for name, content in files.items():
        (tmp_path / name).write_text(json.dumps(content))
    assert not_followed(tmp_path) == wanted
    lines = told([RunConfig(model={"name": "t5", "source": "checkpoint", "checkpoint": str(tmp_path)})] * 2)
    assert len(lines) == bool(wanted[1])
    for line in lines:
        listed = ", ".join(f"{key}={value}" for key, value in wanted[1].items())
        assert f"{wanted[0]} asks for {listed}, which transformers would follow" in line


def test_the_plain_values_are_those_with_which_transformers_begins():
    transformers = pytest.importorskip("transformers")
    plain = transformers.GenerationConfig()
    assert {key: getattr(plain, key) or WITHOUT_EFFECT[key] for key in WITHOUT_EFFECT} == WITHOUT_EFFECT
