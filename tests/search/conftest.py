"""Random T5 checkpoints, read by transformers and by this package."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor

from strategies import ModelConfig, lengths, load_model
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.search.options import Beam, Stop

SRC_LENS = 11, 4, 7, 9, 2
MAX_NEW = 14
EARLY = {"true": True, "false": False, "never": "never"}


@dataclass(frozen=True)
class Checkpoint:
    """A random T5, and padded sources for it."""

    reference: transformers.T5ForConditionalGeneration
    model: EncoderDecoder
    src_BS: Tensor
    mask_BS: Tensor

    def ending_with(self, width: int, count: int) -> ModelConfig:
        """The configuration with those ``count`` EOS ids that end the sequences of W beams at the most steps."""
        out = self.generate(num_beams=width, num_return_sequences=width, eos_token_id=None)
        token_RN = out.sequences[:, 1:]
        by_ends = sorted(
            range(1, self.model.config.vocab_size), key=lambda id: -len(set(lengths(token_RN, id).tolist()))
        )
        return replace(self.model.config, eos_id=by_ends[0], other_eos_ids=tuple(by_ends[1:count]))

    def beam_search(self, beam: Beam, config: ModelConfig, stop: Stop) -> tuple[list[list[int]], Tensor]:
        """(token ids of each sequence up to its end, scores) as transformers finds them."""
        out = self.generate(
            num_beams=beam.num_beams,
            num_return_sequences=beam.num_return,
            length_penalty=beam.length_penalty,
            early_stopping=EARLY[beam.early_stopping],
            eos_token_id=list(config.eos_ids),
            min_new_tokens=MAX_NEW if stop == "fixed" else None,
        )
        token_RN = out.sequences[:, 1:]
        ends = lengths(token_RN, config.eos_ids).tolist()
        return [row[:end] for row, end in zip(token_RN.tolist(), ends, strict=True)], out.sequences_scores

    def generate(self, **options: Any) -> Any:
        return self.reference.generate(
            self.src_BS,
            attention_mask=self.mask_BS.long(),
            max_new_tokens=MAX_NEW,
            do_sample=False,
            return_dict_in_generate=True,
            output_scores=True,
            **options,
        )


@pytest.fixture(scope="session")
def make_checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Callable[[int, int], Checkpoint]:
    """A checkpoint of V ids, its weights from a seed; logits have a spread of about 1."""
    transformers.utils.logging.disable_progress_bar()

    def make(vocab: int, seed: int) -> Checkpoint:
        sizes = {"vocab_size": vocab, "d_model": 32, "num_heads": 4, "d_kv": 8, "d_ff": 64, "num_layers": 2}
        config = transformers.T5Config(**sizes, decoder_start_token_id=0, tie_word_embeddings=False)
        reference = transformers.T5ForConditionalGeneration._from_config(config, attn_implementation="eager").eval()
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in reference.requires_grad_(False).named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(1 + 0.3 * noise)
            elif "relative" in name or "shared" in name:
                parameter.copy_(noise)
            else:
                parameter.copy_(1.2 * parameter.shape[1] ** -0.5 * noise)
        folder = tmp_path_factory.mktemp(f"t5_{vocab}_{seed}")
        reference.save_pretrained(folder)
        src_BS = torch.randint(2, vocab, (len(SRC_LENS), max(SRC_LENS)), generator=generator)
        mask_BS = torch.arange(max(SRC_LENS)) < torch.tensor(SRC_LENS)[:, None]
        return Checkpoint(reference, load_model(folder), src_BS, mask_BS)

    return make


@pytest.fixture(scope="session")
def checkpoint(make_checkpoint: Callable[[int, int], Checkpoint]) -> Checkpoint:
    return make_checkpoint(40, 3)
