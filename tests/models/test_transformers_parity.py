"""T5 checkpoints on disk, against ``transformers``: the folders that it writes, and those of the first releases."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn

from strategies import Session, Strategy, greedy, lengths, load_model
from strategies.models.encoder_decoder import EncoderDecoder

TARGET_LEN = 20
FP32 = {"atol": 1e-4, "rtol": 1e-4}


@dataclass(frozen=True)
class Form:
    """A T5 shape, and how its folder is written: ``released`` as the first releases had it, or by transformers."""

    sizes: dict[str, Any]
    seed: int
    src_lens: tuple[int, ...] = (11, 4, 7, 9)
    untied: bool = False
    scaled: bool = True
    released: bool = False


SMALL = {"vocab_size": 40, "d_model": 32, "num_heads": 4, "d_kv": 8, "d_ff": 64, "num_layers": 2}
GATED = {"feed_forward_proj": "gated-gelu"}
FORMS = {
    "v1.0": Form(SMALL, seed=8, released=True),
    "v1.1": Form({**SMALL, **GATED}, seed=12, untied=True, scaled=False, released=True),
    "v1.0_resaved": Form({**SMALL, "decoder_start_token_id": 2, "pad_token_id": 3}, seed=3),
    "v1.1_resaved_tied": Form({**SMALL, **GATED}, seed=14, scaled=False),
    "odd_heads_deep_encoder": Form(
        {
            **SMALL,
            "vocab_size": 37,
            "d_model": 20,
            "num_heads": 3,
            "d_kv": 7,
            "d_ff": 50,
            "num_layers": 3,
            "num_decoder_layers": 1,
        },
        seed=13,
    ),
    "far_apart_deep_decoder": Form(
        {
            **SMALL,
            **GATED,
            "num_layers": 1,
            "num_decoder_layers": 3,
            "relative_attention_num_buckets": 8,
            "relative_attention_max_distance": 12,
            "layer_norm_epsilon": 1e-3,
        },
        seed=13,
        src_lens=(40, 13, 1, 26),
        untied=True,
        scaled=False,
        released=True,
    ),
}


@dataclass(frozen=True)
class Case:
    """A folder, the model read from it, an input, and what ``transformers`` makes of that input."""

    form: Form
    folder: Path
    reference: transformers.T5ForConditionalGeneration
    model: EncoderDecoder
    src_BS: Tensor
    mask_BS: Tensor
    token_BN: Tensor
    memory_BSD: Tensor
    logits_BNV: Tensor
    greedy_BN: Tensor


@pytest.fixture(scope="session", autouse=True)
def _no_progress_bars() -> None:
    transformers.utils.logging.disable_progress_bar()


def generate(reference: transformers.T5ForConditionalGeneration, src_BS: Tensor, mask_BS: Tensor) -> Tensor:
    """Greedy tokens of ``transformers`` without the start token, [B, N]."""
    # Its cache has as many layers as the encoder, and a deeper decoder runs out of them.
    cached = reference.config.num_decoder_layers <= reference.config.num_layers
    out_BN = reference.generate(
        src_BS, attention_mask=mask_BS.long(), do_sample=False, use_cache=cached, max_new_tokens=TARGET_LEN
    )
    return out_BN[:, 1:]


def end_apart(reference: transformers.T5ForConditionalGeneration, src_BS: Tensor, mask_BS: Tensor) -> None:
    """Declare that token to be EOS which makes the rows end at the most different steps."""
    reference.generation_config.eos_token_id = None
    token_BN = generate(reference, src_BS, mask_BS)
    eos = max(range(4, reference.config.vocab_size), key=lambda token: len(set(lengths(token_BN, token).tolist())))
    reference.config.eos_token_id = reference.generation_config.eos_token_id = eos


def write_released(reference: transformers.T5ForConditionalGeneration, folder: Path, untied: bool) -> None:
    """The folder as the first releases had it: no ``scale_decoder_outputs``, v1.1 untied, and an unused tensor."""
    config = reference.config.to_dict()
    keys = ("model_type", "pad_token_id", "eos_token_id", "feed_forward_proj", "num_decoder_layers")
    keys += ("relative_attention_num_buckets", "relative_attention_max_distance", "layer_norm_epsilon", *SMALL)
    config = {key: config[key] for key in keys} | ({"tie_word_embeddings": False} if untied else {})
    (folder / "config.json").write_text(json.dumps(config))
    tensors = {name: tensor.clone() for name, tensor in reference.named_parameters()}
    unused = "decoder.block.0.layer.1.EncDecAttention.relative_attention_bias.weight"
    save_file({**tensors, unused: torch.ones(32, 4)}, folder / "model.safetensors", metadata={"format": "pt"})


def make_reference(form: Form, scatter: Callable[..., nn.Module]) -> transformers.T5ForConditionalGeneration:
    config = transformers.T5Config(**{"decoder_start_token_id": 0, **form.sizes}, tie_word_embeddings=form.scaled)
    reference = transformers.T5ForConditionalGeneration._from_config(config, attn_implementation="eager")
    if form.untied:
        reference.lm_head.weight = nn.Parameter(torch.empty_like(reference.shared.weight))
    return scatter(reference, form.seed)


@pytest.fixture(scope="session", params=FORMS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, scatter) -> Case:
    form = FORMS[request.param]
    reference = make_reference(form, scatter)
    generator = torch.Generator().manual_seed(3)
    rows, longest = len(form.src_lens), max(form.src_lens)
    vocab_size = reference.config.vocab_size
    src_BS = torch.randint(4, vocab_size, (rows, longest), generator=generator)
    mask_BS = torch.arange(longest) < torch.tensor(form.src_lens)[:, None]
    token_BN = torch.randint(vocab_size, (rows, TARGET_LEN), generator=generator)
    end_apart(reference, src_BS, mask_BS)
    folder = tmp_path_factory.mktemp(request.param)
    if form.released:
        write_released(reference, folder, form.untied)
    else:
        reference.save_pretrained(folder)
    out = reference(input_ids=src_BS, attention_mask=mask_BS.long(), decoder_input_ids=token_BN)
    return Case(
        form,
        folder,
        reference,
        load_model(folder),
        src_BS,
        mask_BS,
        token_BN,
        out.encoder_last_hidden_state,
        out.logits,
        generate(reference, src_BS, mask_BS),
    )


def test_encoder_states_equal_those_of_transformers_at_every_real_token(case: Case) -> None:
    memory_BSD = case.model.encoder(case.src_BS, case.model.source_bias(case.mask_BS))
    torch.testing.assert_close(memory_BSD[case.mask_BS], case.memory_BSD[case.mask_BS], **FP32)


def test_teacher_forced_logits_equal_those_of_transformers(case: Case) -> None:
    assert case.logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    torch.testing.assert_close(case.model(case.src_BS, case.mask_BS, case.token_BN), case.logits_BNV, **FP32)


def test_the_logits_of_each_step_equal_those_of_transformers(case: Case, strategy: Strategy, decode) -> None:
    logits_BNV = decode(case.model, strategy, case.src_BS, case.mask_BS, case.token_BN)
    torch.testing.assert_close(logits_BNV, case.logits_BNV, **FP32)


def test_greedy_tokens_equal_those_of_transformers_as_rows_end_apart(case: Case, strategy: Strategy) -> None:
    ends_B = lengths(case.greedy_BN, case.reference.config.eos_token_id)
    assert len(set(ends_B.tolist())) > 2, "the rows must end at three steps or more"
    session = Session(case.model, strategy, *case.src_BS.shape, TARGET_LEN)
    session.prefill(case.src_BS, case.mask_BS)
    assert torch.stack(list(greedy(session)), dim=1).tolist() == case.greedy_BN.tolist()


def test_the_head_is_tied_and_scaled_as_the_folder_says(case: Case) -> None:
    assert case.model.config.tie_head == (not case.form.untied)
    assert case.model.config.scale_head == case.form.scaled
    assert (case.model.lm_head.weight is case.model.embedding.weight) == (not case.form.untied)


@pytest.mark.parametrize("case", [name for name, form in FORMS.items() if form.released], indirect=True)
def test_transformers_reads_the_released_forms_as_their_reference(case: Case) -> None:
    again = transformers.T5ForConditionalGeneration.from_pretrained(case.folder, attn_implementation="eager")
    out = again(input_ids=case.src_BS, attention_mask=case.mask_BS.long(), decoder_input_ids=case.token_BN)
    torch.testing.assert_close(out.logits, case.logits_BNV)


@pytest.mark.parametrize("stored", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_a_checkpoint_stored_in_half_precision_gives_the_logits_of_its_rounded_weights(
    case: Case, stored: torch.dtype, tmp_path: Path, scatter
) -> None:
    rounded = make_reference(case.form, scatter).to(stored)
    if case.form.released:
        write_released(rounded, tmp_path, case.form.untied)
    else:
        rounded.save_pretrained(tmp_path)
    rounded.float()
    logits_BNV = rounded(
        input_ids=case.src_BS, attention_mask=case.mask_BS.long(), decoder_input_ids=case.token_BN
    ).logits
    assert (logits_BNV - case.logits_BNV).abs().max() > 1e-3, "the rounding of the weights must show"
    model = load_model(tmp_path)
    assert model.embedding.weight.dtype == torch.float32
    torch.testing.assert_close(model(case.src_BS, case.mask_BS, case.token_BN), logits_BNV, **FP32)


@pytest.mark.parametrize("case", ["v1.0", "v1.1_resaved_tied"], indirect=True)
def test_a_sharded_checkpoint_gives_the_same_logits_as_a_single_file(case: Case, tmp_path: Path) -> None:
    case.reference.save_pretrained(tmp_path, max_shard_size="20KB")
    assert len(list(tmp_path.glob("model-*-of-*.safetensors"))) > 2
    assert not (tmp_path / "model.safetensors").exists()
    torch.testing.assert_close(
        load_model(tmp_path)(case.src_BS, case.mask_BS, case.token_BN),
        case.model(case.src_BS, case.mask_BS, case.token_BN),
        rtol=0,
        atol=0,
    )


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=["bf16", "fp16"])
def test_in_half_precision_the_error_is_of_the_size_of_that_of_transformers(case: Case, dtype: torch.dtype) -> None:
    reference = transformers.T5ForConditionalGeneration.from_pretrained(
        case.folder, dtype=dtype, attn_implementation="eager"
    )
    theirs_BNV = reference(
        input_ids=case.src_BS, attention_mask=case.mask_BS.long(), decoder_input_ids=case.token_BN
    ).logits
    ours_BNV = load_model(case.folder, dtype=dtype)(case.src_BS, case.mask_BS, case.token_BN)
    assert ours_BNV.dtype == dtype
    ours, theirs = ((x.float() - case.logits_BNV).square().mean().sqrt() for x in (ours_BNV, theirs_BNV))
    assert 0 < ours <= 1.5 * theirs
