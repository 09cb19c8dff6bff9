"""Contenders decode what our oracle does with a model of each family, from the folder that is exported for them."""

import importlib.util

import pytest
import torch

from strategies import ModelSpec, Session, greedy, load_model, parse
from strategies.search.options import Beam
from suites.contenders import UnavailableError, registry
from suites.contenders.running.agreement import padded
from suites.contenders.running.cache import shared_checkpoint
from suites.contenders.running.judgement import Judgement
from suites.contenders.running.lineup import why_not
from suites.measuring.arms import StrategyArm
from suites.settings.cells import Cell
from suites.settings.inputs import make_inputs
from tests.suites.contenders.conftest import SRC_IDS

V, STEPS = 47, 10
SIZES = {
    "vocab_size": V, "d_model": 16, "num_heads": 2, "d_kv": 8, "d_ff": 24, "encoder_layers": 2, "decoder_layers": 1,
}  # fmt: skip
LEARNED = {"src_positions": 20, "tgt_positions": 20}
MARIAN = LEARNED | {"pad_id": V - 1, "eos_id": 0, "start_id": V - 1, "suppress_ids": (V - 1,), "logits_bias": True,
                    "scale_embedding": True, "forced_eos_id": 0}  # fmt: skip
BART = {"pad_id": 1, "eos_id": 2, "start_id": 2}
FAMILIES = {
    "t5": {"start_id": 5, "prefix_ids": (9,), "suppress_ids": (3, 0)},
    "umt5": {"architecture": "t5", "relative_per_layer": True, "gated": True},
    "marian": MARIAN,
    "marian_of_two_vocabularies": MARIAN | {"architecture": "marian", "src_vocab_size": V + 6},
    "bart": LEARNED | BART | {"forced_eos_id": 2, "suppress_ids": (3,), "logits_bias": True},
    "bart_untied": LEARNED | BART | {"architecture": "bart", "src_vocab_size": V, "tie_head": False},
    "mbart": LEARNED | BART | {"start_id": 6, "prefix_ids": (40,), "scale_embedding": True, "encoder_d_ff": 20},
    "m2m_100": BART | {"prefix_ids": (40,), "suppress_ids": (1,), "scale_embedding": True},
    "pegasus": LEARNED | {"pad_id": 0, "eos_id": 1, "start_id": 0, "activation": "relu", "scale_embedding": True},
    "whisper": {"mel_bins": 5, "src_positions": 7, "tgt_positions": 20, "pad_id": 30, "eos_id": 30, "start_id": 31,
                "prefix_ids": (32, 33, 34), "suppress_ids": (4, 31), "begin_suppress_ids": (30, 5)},
}  # fmt: skip
SEEDS = {"t5": 1, "umt5": 1, "bart_untied": 1, "marian": 27, "marian_of_two_vocabularies": 7, "pegasus": 7}
"""Seeds of weights that choose one token after another; 3 of every other family."""
CACHES = ("transformers_dynamic", "transformers_static", "transformers_no_cache")
CTRANSLATE2 = "ctranslate2_float32"

pytestmark = [
    pytest.mark.skipif(
        importlib.util.find_spec("ctranslate2") is None, reason="needs the contenders: pip install 'decodebench[peers]'"
    ),
    pytest.mark.filterwarnings("ignore::DeprecationWarning", "ignore::UserWarning", "ignore::FutureWarning"),
]


def cell_of(architecture, stop, **more):
    search = {"search": more.pop("search")} if "search" in more else {}
    source = {} if architecture == "whisper" else {"src_ids": SRC_IDS}
    shape = SIZES | {"architecture": architecture} | FAMILIES[architecture] | more
    spec = ModelSpec(architecture, "random", shape=tuple(sorted(shape.items())))
    return Cell(spec, 7, STEPS, 2, "cpu", "fp32", 1, SEEDS.get(architecture, 3), stop, **search, **source)


def model_of(cell):
    """Its model, whose weights have a spread that makes it choose one token after another."""
    model = load_model(cell.model, seed=cell.seed)
    generator = torch.Generator().manual_seed(cell.seed)
    with torch.no_grad():
        for name, weight in model.named_parameters():
            noise = torch.randn(weight.shape, generator=generator)
            is_norm = name.endswith("norm.weight")
            is_small = weight.dim() == 1 or name == "embedding.weight"
            weight.copy_(1 + 0.3 * noise if is_norm else 0.3 * noise if is_small else noise)
            if model.config.architecture == "whisper" and name.endswith("qkv.bias"):  # keys have no bias there
                weight.chunk(3)[1].zero_()
            if model.config.architecture == "whisper" and name.endswith(".kv.bias"):
                weight.chunk(2)[0].zero_()
        if model.config.architecture == "marian":  # whose decoder starts from zeros
            model.embedding.weight[model.config.pad_id] = 0
    return model


def decode(model, cell):
    session = Session(model, parse("contiguous_kv"), cell.batch_size, cell.src_len, cell.tgt_len)
    inputs = make_inputs(cell, model.config)
    session.prefill(inputs.source, inputs.src_mask_BS)
    return torch.stack(list(greedy(session, cell.stop)), 1)


def contender(name, cell, model, cache):
    made = registry()[name]()
    made.prepare(shared_checkpoint(model, cache), cell)
    return made


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("cache")


@pytest.mark.parametrize("stop", ["fixed", "eos"])
@pytest.mark.parametrize("architecture", FAMILIES)
def test_tokens_are_those_of_the_oracle(architecture, stop, cache):
    cell = cell_of(architecture, stop)
    model = model_of(cell)
    ours = decode(model, cell)
    assert len(set(ours.flatten().tolist())) > 3, "tokens without variety would agree by chance"
    names = (*CACHES, CTRANSLATE2) if stop == "fixed" else (CACHES[0], CTRANSLATE2)
    for name in names[:-1] if architecture == "marian_of_two_vocabularies" else names:  # see what is skipped below
        assert why_not(registry()[name], cell, model) == ""
        found = contender(name, cell, model, cache).round(make_inputs(cell, model.config).data(), stop).token_ids
        assert padded(found, model.config.pad_id).tolist() == ours.tolist(), name


@pytest.mark.parametrize(
    ("architecture", "changes", "reason"),
    [
        ("marian", {"suppress_ids": ()}, "lets no Marian choose padding"),
        ("marian", {"start_id": 0}, "to start a Marian"),
        ("marian", {"src_vocab_size": 50}, "of one vocabulary alone"),
        ("bart", {"begin_suppress_ids": (4,)}, "no rule for the first token"),
        ("bart", {"encoder_heads": 1, "encoder_d_kv": 16}, "one number of heads"),
        ("whisper", {"activation": "relu"}, "computes gelu"),
        ("whisper", {"prefix_ids": ()}, "rules for time stamps"),
        ("whisper", {"other_eos_ids": (7,)}, "at one id alone"),
    ],
)
def test_what_ctranslate2_would_decode_otherwise_is_skipped(architecture, changes, reason):
    assert reason in registry()[CTRANSLATE2].supports(cell_of(architecture, "eos", **changes))


def test_ctranslate2_takes_no_marian_that_does_not_start_from_zeros(cache):
    cell = cell_of("marian", "eos")
    model = model_of(cell)
    model.embedding.weight[-1] = 1
    with pytest.raises(UnavailableError, match="starts a Marian from zeros"):
        contender(CTRANSLATE2, cell, model, cache)


@pytest.mark.parametrize("architecture", ["marian", "mbart", "whisper"])
@pytest.mark.parametrize("name", [CACHES[0], CTRANSLATE2])
def test_sequences_of_beam_search_pass(architecture, name, cache):
    cell = cell_of(architecture, "eos", search=Beam(3, early_stopping="true", num_return=2))
    model = model_of(cell)
    inputs = make_inputs(cell, model.config)
    arm = StrategyArm(parse("full_recompute"), model, inputs, cell)
    decoded = contender(name, cell, model, cache).round(inputs.data(), "eos")
    passed, remark = Judgement(cell, lambda: arm).of(registry()[name], decoded)
    assert passed, remark
    assert name == CTRANSLATE2 or remark == ""
