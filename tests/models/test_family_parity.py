"""Folders of the families that share BART's layout, against ``transformers``, which wrote them.

Each form has traps: stacks of other depth, heads and width, a vocabulary that was padded to a multiple of 64, a start
that is not padding, biases and norms that are not 0 and 1, and what its name tells.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from strategies import Beam, Session, begin, decode, greedy, load_model, parse
from strategies.models.encoder_decoder import EncoderDecoder

TARGET_LEN, SRC_LENS, MEL = 9, (11, 4, 7), 5
FP32 = {"atol": 1e-4, "rtol": 1e-4}
HALVES = torch.bfloat16, torch.float16
PADDED, MOST = 64, {"max_position_embeddings": 16}
SIZES: dict[str, Any] = {
    "vocab_size": 59,
    "d_model": 24,
    "encoder_layers": 3,
    "decoder_layers": 2,
    "encoder_attention_heads": 2,
    "decoder_attention_heads": 4,
    "encoder_ffn_dim": 40,
    "decoder_ffn_dim": 28,
    "pad_token_id": 1,
    "bos_token_id": 0,
    "eos_token_id": 2,
    "decoder_start_token_id": 5,
}
FEATURES = {"num_mel_bins": MEL, "max_source_positions": 8, "max_target_positions": 12}
UNTIED: dict[str, Any] = {"tie_word_embeddings": False}
TRANSLATES = {"forced_bos_token_id": 9, "forced_eos_token_id": 2}


@dataclass(frozen=True)
class Form:
    """A configuration of transformers, and settings of generation."""

    kind: str
    made: dict[str, Any]
    head: str = "ForConditionalGeneration"
    generation: dict[str, Any] = field(default_factory=dict)

    def config(self) -> Any:
        return getattr(transformers, f"{self.kind}Config")(**SIZES, **self.made)


FORMS = {
    "marian": Form(
        "Marian",
        {**MOST, "scale_embedding": True, "activation_function": "swish"},
        "MTModel",
        {"bad_words_ids": [[1], [2]], "forced_eos_token_id": 2},
    ),
    "marian of two vocabularies": Form(
        "Marian",
        {**MOST, "share_encoder_decoder_embeddings": False, "decoder_vocab_size": 51},
        "MTModel",
    ),
    "bart": Form("Bart", MOST, generation={"forced_eos_token_id": 2, "suppress_tokens": [7, 8]}),
    "bart untied": Form("Bart", {**MOST, **UNTIED, "scale_embedding": True}),
    "mbart": Form("MBart", {**MOST, "scale_embedding": True, "activation_function": "relu"}, generation=TRANSLATES),
    "m2m_100": Form("M2M100", {"scale_embedding": True}, generation=TRANSLATES),
    "m2m_100 unscaled": Form("M2M100", {"scale_embedding": False, "activation_function": "gelu"}),
    "pegasus": Form("Pegasus", {**MOST, "scale_embedding": True, "activation_function": "gelu_new"}),
    "whisper": Form("Whisper", FEATURES, generation={"begin_suppress_tokens": [3, 2], "suppress_tokens": [7]}),
}
LOGITS_ALONE = {
    "marian untied": Form("Marian", {**MOST, **UNTIED, "scale_embedding": True}, "MTModel"),
    "mbart untied and unscaled": Form("MBart", {**MOST, **UNTIED, "scale_embedding": False}),
    "m2m_100 untied": Form("M2M100", UNTIED),
    "pegasus untied and unscaled": Form("Pegasus", {**MOST, **UNTIED, "scale_embedding": False}),
    "whisper untied and scaled": Form(
        "Whisper", {**FEATURES, **UNTIED, "scale_embedding": True}, generation={"begin_suppress_tokens": None}
    ),
}
"""What the forms above do not try of their families."""


@dataclass(frozen=True)
class Case:
    """A folder, the model read from it, an input, and what ``transformers`` makes of that input."""

    name: str
    folder: Path
    reference: Any
    model: EncoderDecoder
    source: Tensor
    mask_BS: Tensor | None
    token_BN: Tensor

    def theirs(self, reference: Any) -> tuple[Tensor, Tensor]:
        """The encoder's states, and the logits of the decoder's steps with a cache."""
        masked = {} if self.mask_BS is None else {"attention_mask": self.mask_BS.long()}
        source = self.source.to(reference.dtype) if self.mask_BS is None else self.source
        memory = reference.get_encoder()(source, **masked)
        cache, logits = None, []
        for token_B1 in self.token_BN.split(1, dim=1):
            out = reference(encoder_outputs=memory, decoder_input_ids=token_B1, cache=cache, use_cache=True, **masked)
            cache, logits = out.cache, [*logits, out.logits]
        return memory.last_hidden_state, torch.cat(logits, dim=1)


def make_reference(form: Form, scatter: Callable[..., nn.Module]) -> Any:
    """A model of transformers whose every tensor is random, but sinusoids that it does not store."""
    config = form.config()
    reference = getattr(transformers, f"{form.kind}{form.head}")._from_config(config, attn_implementation="eager")
    if config.tie_word_embeddings:  # it would make one of embeddings that are not tied
        reference.resize_token_embeddings(PADDED, mean_resizing=False)
    computed = {
        name: value.clone() for name, value in reference.named_parameters() if form.kind == "Marian" and "posit" in name
    }
    scatter(reference, seed=4)
    for name, value in computed.items():
        reference.get_parameter(name).copy_(value)
    for name, buffer in reference.named_buffers():
        if name == "final_logits_bias":
            buffer.copy_(torch.randn(buffer.shape, generator=torch.Generator().manual_seed(5)))
    for key, value in {"forced_eos_token_id": None, **form.generation}.items():
        setattr(reference.generation_config, key, value)
    return reference


@pytest.fixture(scope="session", autouse=True)
def _quiet() -> None:
    transformers.utils.logging.disable_progress_bar()


def make_case(name: str, form: Form, folder: Path, scatter: Callable[..., nn.Module]) -> Case:
    reference = make_reference(form, scatter)
    reference.save_pretrained(folder)
    generator = torch.Generator().manual_seed(3)
    model = load_model(folder)
    mask_BS = None
    if form.kind == "Whisper":
        source = torch.randn(len(SRC_LENS), MEL, 2 * FEATURES["max_source_positions"], generator=generator)
    else:
        size = (len(SRC_LENS), max(SRC_LENS))
        source = torch.randint(3, model.config.source_vocabulary, size, generator=generator)
        mask_BS = torch.arange(max(SRC_LENS)) < torch.tensor(SRC_LENS)[:, None]
        source = source.where(mask_BS, SIZES["pad_token_id"])
    token_BN = torch.randint(3, model.config.vocab_size, (len(SRC_LENS), TARGET_LEN), generator=generator)
    token_BN[1, 3] = SIZES["pad_token_id"]
    return Case(name, folder, reference, model, source, mask_BS, token_BN)


@pytest.fixture(scope="session", params=FORMS)
def case(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory, scatter: Any) -> Case:
    return make_case(request.param, FORMS[request.param], tmp_path_factory.mktemp("form"), scatter)


@pytest.fixture(autouse=True)
def _without_gradients() -> Iterator[None]:
    with torch.no_grad():
        yield


def test_states_and_logits_equal_those_of_transformers(case: Case) -> None:
    memory_BSD, logits_BNV = case.theirs(case.reference)
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    ours_BSD = case.model.encoder(case.source, case.model.source_bias(case.mask_BS))
    real = slice(None) if case.mask_BS is None else case.mask_BS
    torch.testing.assert_close(ours_BSD[real], memory_BSD[real], **FP32)
    torch.testing.assert_close(case.model(case.source, case.mask_BS, case.token_BN), logits_BNV, **FP32)


@pytest.mark.parametrize("name", LOGITS_ALONE)
def test_logits_of_the_other_forms_equal_those_of_transformers(name: str, tmp_path: Path, scatter: Any) -> None:
    case = make_case(name, LOGITS_ALONE[name], tmp_path, scatter)
    logits_BNV = case.theirs(case.reference)[1]
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    torch.testing.assert_close(case.model(case.source, case.mask_BS, case.token_BN), logits_BNV, **FP32)
    assert not case.model.config.tie_head


@pytest.mark.parametrize("dtype", HALVES, ids=str)
def test_in_half_precision_the_error_is_of_the_size_of_that_of_transformers(case: Case, dtype: torch.dtype) -> None:
    _, whole_BNV = case.theirs(case.reference)
    reference = type(case.reference).from_pretrained(case.folder, dtype=dtype, attn_implementation="eager")
    theirs_BNV = case.theirs(reference)[1]
    ours_BNV = load_model(case.folder, dtype=dtype)(case.source, case.mask_BS, case.token_BN)
    assert ours_BNV.dtype == dtype
    ours, theirs = ((x.float() - whole_BNV).square().mean().sqrt() for x in (ours_BNV, theirs_BNV))
    assert 0 < ours <= 1.5 * theirs


def test_states_beyond_float16_overflow_and_transformers_clamps_them_where_norms_come_first(
    case: Case, tmp_path: Path
) -> None:
    case.reference.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    large = {name: value * 4e4 for name, value in tensors.items() if "encoder.layers" in name and "fc2" in name}
    save_file(tensors | large, tmp_path / "model.safetensors", metadata={"format": "pt"})
    inputs = case.source, case.mask_BS, case.token_BN
    assert load_model(tmp_path)(*inputs).isfinite().all()
    assert not load_model(tmp_path, dtype=torch.float16)(*inputs).isfinite().all()
    reference = type(case.reference).from_pretrained(tmp_path, dtype=torch.float16, attn_implementation="eager")
    assert case.theirs(reference)[1].isfinite().all() == case.model.config.norm_first


@pytest.mark.parametrize("strategy", ["full_recompute", "cross_kv", "contiguous_kv", "static_kv", "paged_kv(block=3)"])
def test_greedy_tokens_equal_those_of_transformers(case: Case, strategy: str) -> None:
    config, source = case.model.config, case.source
    free = TARGET_LEN - 1 - len(config.prefix_ids)
    masked = {} if case.mask_BS is None else {"attention_mask": case.mask_BS.long()}
    theirs_BN = transformers.GenerationMixin.generate(
        case.reference, source, do_sample=False, num_beams=1, max_new_tokens=free + len(config.prefix_ids), **masked
    )
    session = Session(case.model, parse(strategy), len(source), max(SRC_LENS) if masked else 8, free)
    session.prefill(source, case.mask_BS)
    ours_BN = torch.stack(list(greedy(session)), dim=1)
    begin = config.prefix_len
    assert theirs_BN[0, :begin].tolist() == [config.start_id, *config.prefix_ids]
    assert ours_BN.tolist() == theirs_BN[:, begin:].tolist()


@pytest.mark.parametrize("strategy", ["full_recompute", "static_kv(reorder=table)"])
def test_beams_equal_those_of_transformers(case: Case, strategy: str) -> None:
    config, source, beam = case.model.config, case.source, Beam(3)
    free = TARGET_LEN - 1 - len(config.prefix_ids)
    masked = {} if case.mask_BS is None else {"attention_mask": case.mask_BS.long()}
    theirs = transformers.GenerationMixin.generate(
        case.reference, source, do_sample=False, num_beams=3, max_new_tokens=free, return_dict_in_generate=True,
        decoder_input_ids=torch.tensor([config.prefix] * len(source)), output_scores=True, **masked,
    )  # fmt: skip
    session = Session(case.model, parse(strategy), len(source), max(SRC_LENS) if masked else 8, free, beams=3)
    session.prefill(source, case.mask_BS)
    searching = begin(beam, config, len(source), free, "eos", source.device)
    for _ in decode(session, searching, "eos"):
        pass
    found = searching.sequences()
    for row, length in enumerate(found.length_R.tolist()):
        ours, other = found.token_RN[row, :length].tolist(), theirs.sequences[row, config.prefix_len :].tolist()
        assert ours == other[:length]
        assert set(other[length:]) <= {config.pad_id}
    torch.testing.assert_close(found.score_R, theirs.sequences_scores, rtol=1e-4, atol=1e-4)


def test_what_a_folder_stores_of_its_embeddings_positions_and_bias(case: Case) -> None:
    config = case.model.config
    assert config.vocab_size == {"marian of two vocabularies": 51, "bart untied": 59}.get(case.name, PADDED)
    assert config.tie_head == (case.name != "bart untied")
    assert config.logits_bias == (not case.name.startswith(("m2m", "whisper")))
    assert config.src_vocab_size == {"marian of two vocabularies": PADDED, "bart untied": 59}.get(case.name)
    stored = case.name.split()[0] in ("bart", "mbart", "pegasus", "whisper")
    assert {config.positions, config.for_encoder.positions} == {"learned" if stored else "sinusoidal"}


@pytest.mark.parametrize("case", ["bart"], indirect=True)
def test_a_bart_saved_without_its_head_and_a_bias_of_zeros_is_read(case: Case, tmp_path: Path) -> None:
    tensors = load_file(case.folder / "model.safetensors")
    raw = json.loads((case.folder / "config.json").read_text())
    bias = tensors.pop("final_logits_bias")
    bare = {name.removeprefix("model."): value for name, value in tensors.items()}
    zeros = {**tensors, "final_logits_bias": torch.zeros_like(bias), "lm_head.weight": tensors["model.shared.weight"]}
    for written in (bare, {name: value.clone() for name, value in zeros.items()}):
        save_file(written, tmp_path / "model.safetensors", metadata={"format": "pt"})
        (tmp_path / "config.json").write_text(json.dumps(raw | {"architectures": ["BartModel"]}))
        model = load_model(tmp_path)
        assert (model.config.logits_bias, model.config.tie_head) == (False, True)
        logits_BNV = model(case.source, case.mask_BS, case.token_BN) + bias
        torch.testing.assert_close(logits_BNV, case.theirs(case.reference)[1], **FP32)


@pytest.mark.parametrize("case", ["marian"], indirect=True)
def test_sinusoids_that_a_marian_stores_are_read_as_they_are(case: Case, tmp_path: Path) -> None:
    case.reference.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    table = torch.randn(16, 24, generator=torch.Generator().manual_seed(9))
    tensors["model.decoder.embed_positions.weight"] = table
    save_file(tensors, tmp_path / "model.safetensors", metadata={"format": "pt"})
    model = load_model(tmp_path)
    assert (model.config.positions, model.config.for_encoder.positions) == ("learned", "sinusoidal")
    reference = type(case.reference).from_pretrained(tmp_path, attn_implementation="eager").eval()
    assert torch.equal(reference.model.decoder.embed_positions.weight, table)
    logits_BNV = case.theirs(reference)[1]
    torch.testing.assert_close(model(case.source, case.mask_BS, case.token_BN), logits_BNV, **FP32)
