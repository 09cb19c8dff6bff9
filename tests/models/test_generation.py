"""Settings of generation that a checkpoint holds and that are not followed here: which, and that it is said."""

import json

import pytest
import torch

from strategies.models.checkpoints.generation import ACTS_WITH, WITHOUT_EFFECT, not_followed
from suites.settings.config import RunConfig
from suites.settings.search import SearchConfig
from suites.telling.beforehand import told

SUMMARY = {"num_beams": 4, "min_length": 30, "no_repeat_ngram_size": 3, "length_penalty": 2.0, "pad_token_id": 0}
ASKED = {"num_beams": 4, "min_length": 30, "no_repeat_ngram_size": 3}


@pytest.mark.parametrize(
    ("files", "wanted"),
    [
        ({"generation_config.json": SUMMARY, "config.json": {}}, ("generation_config.json", ASKED)),
        ({"generation_config.json": {}, "config.json": SUMMARY}, ("generation_config.json", {})),
        ({"config.json": SUMMARY}, ("config.json", ASKED)),
        (
            {"config.json": {"num_beams": 1, "bad_words_ids": [], "do_sample": None, "min_length": 1}},
            ("config.json", {}),
        ),
        ({"config.json": {"min_p": 0.1, "renormalize_logits": True}}, ("config.json", {})),
        (
            {"config.json": {"num_beams": 4, "num_beam_groups": 2, "min_p": 0.1}},
            ("config.json", {"num_beams": 4, "num_beam_groups": 2}),
        ),
        ({"config.json": {"suppress_tokens": [3], "bad_words_ids": [[4]]}}, ("config.json", {})),
        ({"config.json": {"bad_words_ids": [[4], [5, 6]]}}, ("config.json", {"bad_words_ids": [[5, 6]]})),
        (
            {"generation_config.json": {"forced_decoder_ids": [[1, None], [2, 9]]}, "config.json": {}},
            ("generation_config.json", {"forced_decoder_ids": [[1, None], [2, 9]]}),
        ),
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
        assert f"{wanted[0]} asks for {listed}, which is not followed here" in line


@pytest.mark.parametrize(
    ("search", "content", "listed", "decodes"),
    [
        ({"kind": "beam"}, {"num_beams": 4, "length_penalty": 1.0, "early_stopping": False}, "", ""),
        ({"kind": "beam", "early_stopping": "never"}, {"num_beams": 4, "early_stopping": "never"}, "", ""),
        (
            {"kind": "beam", "num_beams": 2},
            {"num_beams": 4, "length_penalty": 2.0, "early_stopping": True},
            "num_beams=4, length_penalty=2.0, early_stopping=True",
            "search=beam with 2 beams",
        ),
        ({"kind": "sample", "top_k": 50}, {"do_sample": True, "top_k": 50}, "", ""),
        (
            {"kind": "sample", "top_k": 50},
            {"do_sample": True, "top_k": 20, "num_beams": 4},
            "num_beams=4, top_k=20",
            "search=sample(top_k=50)",
        ),
    ],
)
def test_of_what_a_checkpoint_asks_for_that_is_told_which_the_search_does_not_do(
    tmp_path, search, content, listed, decodes
):
    (tmp_path / "generation_config.json").write_text(json.dumps(content))
    model = {"name": "t5", "source": "checkpoint", "checkpoint": str(tmp_path)}
    lines = told([RunConfig(model=model, search=SearchConfig(**search))] * 2)
    assert len(lines) == bool(listed)
    for line in lines:
        assert f"asks for {listed.replace('True', 'true')}, which is not followed here" in line
        assert line.endswith(f"decodes by {decodes}")


@pytest.fixture(scope="module")
def generate():
    """``generate(end, **settings)``: what transformers makes of them, tokens or the name of an error."""
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    ids = {"decoder_start_token_id": 0, "pad_token_id": 0}
    shape = {"vocab_size": 31, "d_model": 16, "d_kv": 8, "d_ff": 32, "num_layers": 1, "num_heads": 2}
    model = transformers.T5ForConditionalGeneration(transformers.T5Config(**shape, **ids, eos_token_id=1)).eval()
    for parameter in model.parameters():
        parameter.data.normal_(0, 0.5)
    src_BS = torch.tensor([[3, 4, 5, 6, 7, 8, 9, 10]])

    def tokens(end, **settings):
        torch.manual_seed(1)
        given = {"max_new_tokens": 12, "bos_token_id": 0, **ids, "eos_token_id": end, **settings}
        try:
            config = transformers.GenerationConfig(**given)
            return model.generate(src_BS, attention_mask=torch.ones_like(src_BS), generation_config=config)[0].tolist()
        except (ValueError, TypeError) as error:
            return type(error).__name__

    return tokens


def test_each_setting_makes_transformers_choose_otherwise_or_refuse_and_its_plain_values_do_not(generate):
    endless = generate(1)
    assert len(endless) == 13
    first, second, end = endless[1:4]
    greedy = generate(end)
    assert greedy == endless[:4]
    others = {
        "num_beams": 4, "do_sample": True, "min_length": 9, "min_new_tokens": 9, "repetition_penalty": 5.0,
        "encoder_repetition_penalty": 5.0, "no_repeat_ngram_size": 1, "encoder_no_repeat_ngram_size": 1,
        "bad_words_ids": [[first, second]],
        "sequence_bias": [[[second], -50.0]], "exponential_decay_length_penalty": [1, 5.0], "guidance_scale": 3.0,
        "penalty_alpha": 0.6, "stop_strings": ["a"],
        "watermarking_config": {"bias": 50.0, "context_width": 1}, "num_beam_groups": 2,
        "force_words_ids": [[second]], "constraints": [9],
        "min_p": 0.9, "top_h": 0.1, "typical_p": 0.1, "epsilon_cutoff": 0.5, "eta_cutoff": 0.9,
        "renormalize_logits": True,
    }  # fmt: skip
    assert others.keys() == WITHOUT_EFFECT.keys()
    # What acts on tokens that come again, or brings a later end forward.
    ends = dict.fromkeys(["repetition_penalty", "no_repeat_ngram_size", "exponential_decay_length_penalty"], 1)
    half = list(range(3, 31, 2))
    beside = {"do_sample": {"do_sample": True, "top_k": 0}, "num_beams": {"num_beams": 4, "suppress_tokens": half}}
    for name, value in others.items():
        at, more = ends.get(name, end), beside.get(ACTS_WITH.get(name), {})
        assert generate(at, **more, **{name: value}) != generate(at, **more), name
        for plain in (None, *WITHOUT_EFFECT[name]):
            assert generate(at, **more, **{name: plain}) == generate(at, **more), (name, plain)
        if more:
            assert generate(at, **{name: value}) == generate(at), name
