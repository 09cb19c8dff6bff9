"""The modules that are converted give the logits of a session."""

import pytest
import torch

from strategies import ModelSpec, Session, load_model, parse
from suites.contenders.exported.sides import SourceSide, StepSide

SIZES = {
    "vocab_size": 97, "d_model": 16, "num_heads": 2, "d_kv": 8, "d_ff": 24, "encoder_layers": 2, "decoder_layers": 3,
}  # fmt: skip
LEARNED = {"src_positions": 12, "tgt_positions": 12, "eos_id": 2}
SHAPES = {
    "t5": {"relative_buckets": 4, "relative_max_distance": 6, "encoder_heads": 3},
    "umt5": {"relative_per_layer": True, "gated": True, "tie_head": False, "num_kv_heads": 1},
    "bart": LEARNED | {"architecture": "bart", "logits_bias": True},
    "marian": LEARNED | {"architecture": "marian"},
    "m2m_100": {"architecture": "m2m_100"},
    "transformer2017": {"architecture": "transformer2017"},
    "whisper": LEARNED | {"architecture": "whisper", "mel_bins": 5},
}
STEPS = 9


@pytest.mark.parametrize("name", SHAPES)
@torch.no_grad()
def test_both_modules_give_the_logits_of_a_session_from_no_past_key_on(name):
    spec = ModelSpec(name, "random", shape=tuple(sorted((SIZES | SHAPES[name]).items())))
    model, twin = load_model(spec, seed=3), load_model(spec, seed=3)
    generator = torch.Generator().manual_seed(0)
    if model.config.mel_bins is None:
        source, mask_BS = torch.randint(3, 97, (2, 11), generator=generator), torch.ones(2, 11, dtype=torch.bool)
        mask_BS[1, 7:] = False
    else:
        source, mask_BS = torch.randn(2, 5, 24, generator=generator), None
    session = Session(twin, parse("full_recompute"), 2, source.shape[-1] // (1 if source.dim() == 2 else 2), STEPS)
    session.prefill(source, mask_BS)
    mask_BS = torch.ones(2, 12, dtype=torch.bool) if mask_BS is None else mask_BS
    cross = SourceSide(model)(source, mask_BS)
    step = StepSide(model)
    past = [torch.empty(2, model.config.kv_heads, 0, 8)] * 6
    token_B = session.first_X
    for _ in range(STEPS):
        expected_BV = session.step(token_B)
        logits_BV, *past = step(token_B[:, None], mask_BS, cross, past)
        torch.testing.assert_close(logits_BV, expected_BV, rtol=1e-4, atol=1e-5)
        token_B = logits_BV.argmax(-1)
