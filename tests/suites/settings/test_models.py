"""Models of conf/model with published shapes: their sizes, their lengths, and options that change nothing."""

from dataclasses import replace

import pytest

from strategies import ModelConfig, ModelSpec, config_of
from strategies.models.parameters import parameters
from suites.settings.catalog import mapping_of
from suites.settings.cells import make_cell
from suites.settings.config import ConfigError
from suites.settings.inputs import make_inputs
from suites.settings.obstacles import obstacle
from suites.settings.overrides import compose_jobs, read_overrides

PUBLISHED = {
    "bart_base": (139, "bart"), "marian": (74, "marian"), "nllb_600m": (615, "m2m_100"),
    "whisper_tiny": (38, "whisper"), "whisper_small": (242, "whisper"), "mt5_small": (300, "t5"),
    "flan_t5_base": (248, "t5"),
}  # fmt: skip
"""File -> its millions of parameters and its architecture."""


def cells(*arguments):
    return [make_cell(job.config) for job in compose_jobs(read_overrides(["device=cpu", *arguments]))]


def config(name: str) -> ModelConfig:
    return config_of(ModelSpec.of(mapping_of("model", name)))


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_shape_has_the_parameters_of_the_model_that_it_is_named_for(name):
    assert (round(parameters(config(name)) / 1e6), config(name).architecture) == PUBLISHED[name]


def test_a_prompt_and_a_language_are_prefixes_and_features_have_one_length():
    assert config("whisper_tiny").prefix == (50258, 50259, 50359, 50363)
    assert config("nllb_600m").prefix == (2, 256057)
    (whisper,) = cells("model=whisper_tiny", "tgt_len=64")
    assert (whisper.src_len, obstacle(whisper)) == (1500, "")


def test_a_length_beyond_the_positions_is_an_obstacle_of_its_cell_alone():
    found = [obstacle(cell) for cell in cells("model=whisper_tiny", "tgt_len=445,446")]
    assert found == [
        "", "tgt_len=446, after 3 tokens of a prefix, lies beyond the model's 448 positions; give tgt_len=445 or less",
    ]  # fmt: skip
    found = [obstacle(cell) for cell in cells("model=marian", "src_len=512,513")]
    assert found == ["", "src_len=513 lies beyond the model's 512 positions; give src_len=512 or less"]
    prefixed = replace(config("whisper_tiny"), prefix_ids=(9,) * 447)
    assert prefixed.beyond_positions(1500, 1) == ""
    prefixed = replace(prefixed, prefix_ids=(9,) * 448)
    assert "a decoder prefix of 449 tokens leaves none of the model's 448" in prefixed.beyond_positions(1500, 1)


def test_random_sources_hold_no_token_with_a_meaning_of_its_own_wherever_it_lies():
    """Marian's pad id, which is its start token too, is the last one."""
    own = {"vocab_size": 9, "src_vocab_size": 7, "pad_id": 6, "start_id": 6, "eos_id": 0}
    sizes = {"d_model": 4, "num_heads": 1, "d_kv": 4, "d_ff": 4, "encoder_layers": 1, "decoder_layers": 1}
    (cell,) = cells("model=marian", "src_len=400", "tgt_len=2")
    found = make_inputs(cell, ModelConfig(**own, **sizes, architecture="marian")).source
    assert set(found.flatten().tolist()) == {1, 2, 3, 4, 5}


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["model=bart_base", "model.sinusoid_order=halves"], "with learned positions; give model.positions=sinusoidal"),
        (["model=small", "model.zero_at_pad=true"], "with relative positions; give model.positions=sinusoidal"),
        (["model=marian", "model.relative_per_layer=true"], "with sinusoidal positions; give model.positions=relative"),
        (["model=whisper_tiny", "model.relative_buckets=8"], "with learned positions; give model.positions=relative"),
        (["model=marian", "model.forced_eos_id=0"], "with measure.stop=fixed, where no sentence ends early"),
        (["model=pronounce", "model.forced_eos_id=0"], "with model.source=pronounce, whose weights settle every size"),
        (["model=small", "model.ffn_out_fp32=false"], "with dtype=fp32, as it is about float16 alone; give dtype=fp16"),
        (
            ["model=whisper_tiny", "model.positions=none", "model.encoder_positions=learned", "model.zero_at_pad=true"],
            "with none positions; give model.positions=sinusoidal",
        ),
    ],
)
def test_an_option_that_changes_nothing_is_refused(arguments, told):
    with pytest.raises(ConfigError, match=f"{arguments[-1]} has no effect {told}"):
        cells(*arguments, "tgt_len=4")


def test_an_option_about_one_type_is_left_to_the_cells_of_that_type():
    found = cells("model=tiny", "model.ffn_out_fp32=false", "dtype=fp16,fp32", "tgt_len=4")
    assert [dict(cell.model.shape).get("ffn_out_fp32") for cell in found] == [False, None]


def test_an_option_of_the_positions_that_one_stack_has_is_none_of_these():
    (cell,) = cells(
        "model=bart_base", "model.encoder_positions=sinusoidal", "model.sinusoid_order=interleaved", "tgt_len=4"
    )
    assert config_of(cell.model).for_encoder.sinusoid_order == "interleaved"
