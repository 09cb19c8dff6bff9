"""Folders of every family that is read, as different versions of transformers wrote them, against ``transformers``.

transformers reads the very folder that we read, so its own handling of keys and names is what we are held to.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from strategies import ModelConfig, ModelError, ModelSpec, Session, config_of, greedy, lengths, load_model, parse

from .spoiling import generation, write_sound

SIZES = {"vocab_size": 40, "d_model": 32, "num_heads": 4, "d_kv": 8, "d_ff": 64, "num_layers": 2}
GATED = {"feed_forward_proj": "gated-gelu"}
TARGET_LEN = 16
OURS_TO_THEIRS = {"atol": 1e-4, "rtol": 1e-4}
SHARED, HEAD = "shared.weight", "lm_head.weight"


@dataclass(frozen=True)
class Family:
    """A folder: what it is made with, how config.json is rewritten (None removes a key), and which names are stored.

    ``names``: what the embedding's tensors are stored as; ``head`` is another matrix, ``shared`` the embedding.
    """

    made: dict[str, Any]
    written: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ("shared",)
    kind: str = "T5"
    factor: float = 1.0
    """Of our logits to those of the installed version, where an older one is followed."""


OLD = {"transformers_version": "4.46.0", "scale_decoder_outputs": None}
FAMILIES = {
    "t5": Family(SIZES),
    "t5_of_version_4": Family(SIZES, {**OLD, "tie_word_embeddings": None}),
    "t5_v1.1_of_version_4": Family(SIZES | GATED, {**OLD, "tie_word_embeddings": False}, ("shared", "head")),
    "t5_v1.1_with_its_embedding_alone": Family(SIZES | GATED, {**OLD, "tie_word_embeddings": False}),
    "t5_whose_stored_head_differs": Family(SIZES, {"tie_word_embeddings": True}, ("shared", "head")),
    "t5_with_every_alias_stored": Family(
        SIZES, names=("shared", "shared:encoder.embed_tokens", "shared:decoder.embed_tokens", "shared:lm_head")
    ),
    "t5_with_its_head_alone": Family(SIZES, names=("shared:lm_head",)),
    "t5_gated_by_keys_of_their_own": Family(SIZES | GATED, {"feed_forward_proj": "relu"}),
    "flan": Family(
        SIZES | GATED | {"num_decoder_layers": 2}, {**OLD, "tie_word_embeddings": False}, ("shared", "head")
    ),
    "byt5": Family(
        SIZES | GATED | {"vocab_size": 384, "num_layers": 3, "num_decoder_layers": 1},
        {"transformers_version": "4.7.0.dev0", "tie_word_embeddings": False, "scale_decoder_outputs": None},
        ("shared", "head"),
    ),
    "mt5": Family(SIZES | {"num_layers": 3, "num_decoder_layers": 1, "d_kv": 5}, kind="MT5"),
    "mt5_of_version_4": Family(SIZES, {**OLD, "tie_word_embeddings": False}, ("shared", "head"), kind="MT5"),
    "mt5_without_the_keys_that_have_defaults": Family(
        SIZES, {**OLD, "tie_word_embeddings": None, "feed_forward_proj": None, "dense_act_fn": None}, kind="MT5"
    ),
    "mt5_that_version_4_scales": Family(SIZES, {**OLD, "tie_word_embeddings": True}, kind="MT5", factor=32**-0.5),
    "mt5_that_tells_no_version": Family(SIZES, {"transformers_version": None}, kind="MT5", factor=32**-0.5),
    "mt5_that_says_it_scales": Family(SIZES, {"scale_decoder_outputs": True}, kind="MT5"),
    "umt5": Family(SIZES | {"num_layers": 3, "num_decoder_layers": 1, "d_kv": 5}, kind="UMT5"),
    "umt5_of_version_4": Family(SIZES, {**OLD, "tie_word_embeddings": False}, ("shared", "head"), kind="UMT5"),
    "umt5_that_scales_nothing": Family(SIZES, {"scale_decoder_outputs": False}, kind="UMT5"),
}


def write(family: Family, folder: Path, scatter: Callable[..., nn.Module]) -> None:
    """The folder, with weights from a seed."""
    config = getattr(transformers, f"{family.kind}Config")(**family.made, decoder_start_token_id=0)
    model = getattr(transformers, f"{family.kind}ForConditionalGeneration")(config)
    scatter(model, seed=5).save_pretrained(folder)
    raw = json.loads((folder / "config.json").read_text()) | family.written
    (folder / "config.json").write_text(json.dumps({key: value for key, value in raw.items() if value is not None}))
    tensors = load_file(folder / "model.safetensors")
    embedding = tensors.pop(SHARED)
    values = {"shared": embedding, "head": embedding.flip(0) * 0.7}
    for name in family.names:
        what, _, module = name.partition(":")
        tensors[f"{module}.weight" if module else {"shared": SHARED, "head": HEAD}[what]] = values[what].clone()
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})


def read_by_transformers(folder: Path, **more: Any) -> Any:
    return transformers.AutoModelForSeq2SeqLM.from_pretrained(folder, attn_implementation="eager", **more).eval()


@pytest.fixture(scope="module", autouse=True)
def _no_progress_bars() -> None:
    transformers.utils.logging.disable_progress_bar()


@pytest.fixture(scope="module")
def inputs() -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    return (torch.randint(3, 40, (3, 7), generator=generator), torch.randint(3, 40, (3, 6), generator=generator))


@pytest.mark.parametrize("family", FAMILIES.values(), ids=FAMILIES)
def test_logits_equal_those_of_transformers_on_the_same_folder(
    family: Family, tmp_path: Path, scatter: Callable[..., nn.Module], inputs: tuple[Tensor, Tensor]
) -> None:
    write(family, tmp_path, scatter)
    src_BS, token_BN = inputs
    with torch.no_grad():
        theirs_BNV = read_by_transformers(tmp_path)(input_ids=src_BS, decoder_input_ids=token_BN).logits
    assert theirs_BNV.std() > 0.3, "logits without spread would agree by chance"
    model = load_model(tmp_path)
    torch.testing.assert_close(model(src_BS, None, token_BN), theirs_BNV * family.factor, **OURS_TO_THEIRS)
    assert model.config.tie_head == ("head" not in family.names)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)
@pytest.mark.parametrize("name", ["mt5", "umt5"])
def test_in_half_precision_the_error_is_of_the_size_of_that_of_transformers(
    name: str, dtype: torch.dtype, tmp_path: Path, scatter: Callable[..., nn.Module], inputs: tuple[Tensor, Tensor]
) -> None:
    write(FAMILIES[name], tmp_path, scatter)
    src_BS, token_BN = inputs
    whole_BNV = load_model(tmp_path)(src_BS, None, token_BN)
    with torch.no_grad():
        theirs_BNV = read_by_transformers(tmp_path, dtype=dtype)(input_ids=src_BS, decoder_input_ids=token_BN).logits
    ours_BNV = load_model(tmp_path, dtype=dtype)(src_BS, None, token_BN)
    ours, theirs = ((x.float() - whole_BNV).square().mean().sqrt() for x in (ours_BNV, theirs_BNV))
    assert 0 < ours <= 1.5 * theirs


@dataclass(frozen=True)
class Ids:
    """``generation_config.json`` (None: not there), what config.json says, and what transformers and we make of it."""

    generation: dict[str, Any] | None
    config: dict[str, Any]
    start: int
    eos: tuple[int, ...]
    pad: int


SPECIAL_IDS = {
    "config_alone": Ids(None, {"decoder_start_token_id": 7, "eos_token_id": 5, "pad_token_id": 3}, 7, (5,), 3),
    "generation_config_alone": Ids(
        {"decoder_start_token_id": 9, "eos_token_id": [5, 6], "pad_token_id": 2},
        {"eos_token_id": None, "pad_token_id": None},
        9,
        (5, 6),
        2,
    ),
    "generation_config_settles_what_both_say": Ids(
        {"decoder_start_token_id": 9, "eos_token_id": 6, "pad_token_id": 2},
        {"decoder_start_token_id": 7, "eos_token_id": 5, "pad_token_id": 3},
        9,
        (6,),
        2,
    ),
    "no_padding_is_the_first_end": Ids(
        {"decoder_start_token_id": 9, "eos_token_id": [6, 5]}, {"pad_token_id": 3}, 9, (6, 5), 6
    ),
    "the_beginning_serves_as_start": Ids(
        {"bos_token_id": 8, "eos_token_id": 6, "pad_token_id": 0}, {"decoder_start_token_id": 7}, 8, (6,), 0
    ),
}


CHOICES: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "a_language_and_an_end_that_are_forced": (
        {"forced_bos_token_id": 7, "forced_eos_token_id": [6]},
        {"prefix_ids": (7,), "forced_eos_id": 6},
    ),
    "a_prompt_by_places": ({"forced_decoder_ids": [[2, 9], [1, 8]]}, {"prefix_ids": (8, 9)}),
    "a_prompt_up_to_a_language_that_is_detected": (
        {"forced_decoder_ids": [[1, 8], [2, None], [3, 9]]},
        {"prefix_ids": (8,)},
    ),
    "suppressed_ids": (
        {"suppress_tokens": [4, -1, 4], "begin_suppress_tokens": [5, 1], "bad_words_ids": [[3], [1], [4, 5]]},
        {"suppress_ids": (4, 3), "begin_suppress_ids": (5, 1)},
    ),
    "nothing": ({"suppress_tokens": None, "bad_words_ids": [], "forced_eos_token_id": None}, {}),
}


@pytest.mark.parametrize(("written", "read"), CHOICES.values(), ids=CHOICES)
def test_forced_and_suppressed_tokens_are_read(written: dict[str, Any], read: dict[str, Any], tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "checkpoint")
    plain = load_model(folder).config
    generation(folder, {"decoder_start_token_id": 0, "eos_token_id": 1, "pad_token_id": 0, **written})
    assert load_model(folder).config == dataclasses.replace(plain, **read)


def test_the_first_tokens_may_be_given_and_make_another_model(tmp_path: Path) -> None:
    folder = write_sound(tmp_path / "checkpoint")
    entries = {"name": "checkpoint", "source": "checkpoint", "checkpoint": str(folder)}
    plain, chosen = ModelSpec.of(entries), ModelSpec.of({**entries, "start_id": 3, "prefix_ids": [4, 5]})
    for config in (config_of(chosen), load_model(chosen).config):
        assert config == dataclasses.replace(config_of(plain), start_id=3, prefix_ids=(4, 5))
    assert chosen != plain
    assert chosen == ModelSpec(**json.loads(json.dumps(dataclasses.asdict(chosen))))
    assert hash(chosen)
    with pytest.raises(ModelError, match=r"model\.d_ff has no effect with model\.source=checkpoint"):
        ModelSpec.of({**entries, "d_ff": 3, "start_id": 3})


def end_apart(token_BN: Tensor, count: int) -> tuple[int, ...]:
    """``count`` tokens that end the rows at steps that differ."""
    found: tuple[int, ...] = ()
    for _ in range(count):
        best = max(range(10, 40), key=lambda n: len(set(lengths(token_BN, (*found, n)).tolist())) - (n in found) * 99)
        found = (*found, best)
    return found


@pytest.mark.parametrize("ids", SPECIAL_IDS.values(), ids=SPECIAL_IDS)
def test_start_end_and_padding_are_read_and_used_as_transformers_does(
    ids: Ids, tmp_path: Path, scatter: Callable[..., nn.Module], inputs: tuple[Tensor, Tensor]
) -> None:
    write(FAMILIES["t5_v1.1_of_version_4"], tmp_path, scatter)
    src_BS, _ = inputs
    path = tmp_path / "generation_config.json"

    def settle(ends: tuple[int, ...]) -> None:
        """Both files, with other ends in the places of those of the table."""
        swap = dict(zip(ids.eos, ends, strict=True))

        def swapped(given: dict[str, Any]) -> dict[str, Any]:
            eos = given.get("eos_token_id")
            if isinstance(eos, list):
                return {**given, "eos_token_id": [swap[n] for n in eos]}
            return {**given, "eos_token_id": swap.get(eos, eos)} if eos is not None else given

        raw = {**json.loads((tmp_path / "config.json").read_text()), "decoder_start_token_id": None, **ids.config}
        raw = {key: value for key, value in swapped(raw).items() if value is not None}
        (tmp_path / "config.json").write_text(json.dumps(raw))
        path.unlink(missing_ok=True)
        if ids.generation is not None:
            path.write_text(json.dumps(swapped(ids.generation)))

    settle(ids.eos)
    config = load_model(tmp_path).config
    assert (config.start_id, config.eos_ids, config.pad_id) == (ids.start, ids.eos, ids.pad)
    reference = read_by_transformers(tmp_path)
    free_BN = reference.generate(src_BS, do_sample=False, max_new_tokens=TARGET_LEN, eos_token_id=None)[:, 1:]
    ends = end_apart(free_BN, len(ids.eos))
    settle(ends)
    model = load_model(tmp_path)
    theirs_BN = read_by_transformers(tmp_path).generate(src_BS, do_sample=False, max_new_tokens=TARGET_LEN)
    assert theirs_BN[:, 0].tolist() == [ids.start] * len(src_BS)
    assert len(set(lengths(theirs_BN[:, 1:], ends).tolist())) > 1, "the rows must end at different steps"
    session = Session(model, parse("static_kv"), *src_BS.shape, TARGET_LEN)
    session.prefill(src_BS)
    assert torch.stack(list(greedy(session)), dim=1).tolist() == theirs_BN[:, 1:].tolist()


def test_every_end_is_left_out_where_the_length_is_fixed(
    tmp_path: Path, scatter: Callable[..., nn.Module], inputs: tuple[Tensor, Tensor]
) -> None:
    write(FAMILIES["t5_v1.1_of_version_4"], tmp_path, scatter)
    src_BS, _ = inputs
    chosen: set[int] = {1}
    for _ in range(3):  # each time, what was chosen before ends a sentence
        raw = {"decoder_start_token_id": 0, "eos_token_id": sorted(chosen), "pad_token_id": 0}
        (tmp_path / "generation_config.json").write_text(json.dumps(raw))
        session = Session(load_model(tmp_path), parse("static_kv"), *src_BS.shape, TARGET_LEN)
        session.prefill(src_BS)
        now = {int(n) for token_B in greedy(session, "fixed") for n in token_B}
        assert not now & chosen
        chosen |= now


def test_a_random_model_may_have_several_ends_too() -> None:
    shape = {"d_model": 4, "num_heads": 2, "d_kv": 2, "d_ff": 3, "encoder_layers": 1, "decoder_layers": 1}
    spec = ModelSpec.of({"source": "random", "vocab_size": 9, "other_eos_ids": [2, 3], **shape})
    assert config_of(spec).eos_ids == (1, 2, 3)
    assert config_of(spec) == ModelConfig(**json.loads(json.dumps(dataclasses.asdict(config_of(spec)))))
    assert hash(spec)
    with pytest.raises(ModelError, match=r"other_eos_ids=9 lies outside the vocabulary of 9"):
        config_of(ModelSpec.of({"source": "random", "vocab_size": 9, "other_eos_ids": [2, 9], **shape}))
