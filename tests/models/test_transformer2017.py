"""The 2017 architecture, against ``torch.nn.Transformer`` with our weights copied over, and against the paper."""

import math
from collections.abc import Callable
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn

from strategies import ModelConfig
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.positions import sinusoids_ND

CLOSE = {"atol": 2e-5, "rtol": 1e-5}
CONFIG = ModelConfig(
    vocab_size=41,
    d_model=24,
    num_heads=4,
    d_kv=6,
    d_ff=50,
    encoder_layers=3,
    decoder_layers=2,
    architecture="transformer2017",
    norm_eps=1e-5,
)


def by_the_paper(position: int, column: int, width: int) -> float:
    """Section 3.5: PE(pos, 2i) = sin(pos / 10000^(2i/D)), PE(pos, 2i+1) = cos(pos / 10000^(2i/D))."""
    angle = position / 10000 ** (column // 2 * 2 / width)
    return math.cos(angle) if column % 2 else math.sin(angle)


def copy_attention(ours: nn.Module, theirs: nn.MultiheadAttention, parts: list[nn.Linear]) -> None:
    theirs.in_proj_weight.copy_(torch.cat([part.weight for part in parts]))
    theirs.in_proj_bias.copy_(torch.cat([part.bias for part in parts]))
    theirs.out_proj.load_state_dict(ours.out.state_dict())


@torch.no_grad()
def torch_transformer(model: EncoderDecoder) -> nn.Transformer:
    """``torch.nn.Transformer`` with the weights of ``model``; no final norms, since the paper has none."""
    config = model.config
    sizes = {
        "d_model": config.d_model,
        "nhead": config.num_heads,
        "dim_feedforward": config.d_ff,
        "dropout": 0.0,
        "activation": "relu",
        "layer_norm_eps": config.norm_eps,
        "batch_first": True,
        "norm_first": False,
    }
    encoder = nn.TransformerEncoder(
        nn.TransformerEncoderLayer(**sizes), config.encoder_layers, norm=None, enable_nested_tensor=False
    )
    decoder = nn.TransformerDecoder(nn.TransformerDecoderLayer(**sizes), config.decoder_layers, norm=None)
    theirs = nn.Transformer(**sizes, custom_encoder=encoder, custom_decoder=decoder)
    for ours, layer in zip(
        (*model.encoder.layers, *model.decoder.layers), (*encoder.layers, *decoder.layers), strict=True
    ):
        copy_attention(ours.self_attn, layer.self_attn, [ours.self_attn.qkv])
        norms = [ours.self_residual.norm, ours.ffn_residual.norm]
        if isinstance(layer, nn.TransformerDecoderLayer):
            copy_attention(ours.cross_attn, layer.multihead_attn, [ours.cross_attn.q, ours.cross_attn.kv])
            norms.insert(1, ours.cross_residual.norm)
        for i, norm in enumerate(norms, start=1):
            getattr(layer, f"norm{i}").load_state_dict(norm.state_dict())
        layer.linear1.load_state_dict(ours.ffn.wi.state_dict())
        layer.linear2.load_state_dict(ours.ffn.wo.state_dict())
    return theirs.eval()


def embedded(model: EncoderDecoder, token_BT: Tensor) -> Tensor:
    """Section 3.4: embeddings times the square root of D; then the paper's positions are added."""
    width = model.config.d_model
    position_TD = torch.tensor(
        [[by_the_paper(position, column, width) for column in range(width)] for position in range(token_BT.shape[1])]
    )
    return model.embedding.weight[token_BT] * math.sqrt(width) + position_TD


@pytest.fixture(scope="session", params=[True, False], ids=["tied", "untied"])
def model(request: pytest.FixtureRequest, scatter: Callable[..., nn.Module]) -> EncoderDecoder:
    # At D**-0.5 the scaled embeddings have the size of the positions, so neither hides the other.
    config = replace(CONFIG, tie_head=request.param)
    return scatter(EncoderDecoder(config), seed=5, embedding_std=CONFIG.d_model**-0.5)


@pytest.fixture(scope="session", params=[(9, 5, 1, 9), (9, 9, 9, 9)], ids=["padded", "full"])
def inputs(request: pytest.FixtureRequest, batch: Callable[..., tuple[Tensor, ...]]) -> tuple[Tensor, ...]:
    return batch(CONFIG, list(request.param), target_len=12, seed=1)


def test_memory_equals_that_of_torch_at_every_real_token(model: EncoderDecoder, inputs: tuple[Tensor, ...]) -> None:
    src_BS, mask_BS, _ = inputs
    ours_BSD = model.encoder(src_BS, model.source_bias(mask_BS))
    theirs_BSD = torch_transformer(model).encoder(embedded(model, src_BS), src_key_padding_mask=~mask_BS)
    torch.testing.assert_close(ours_BSD[mask_BS], theirs_BSD[mask_BS], **CLOSE)


def test_teacher_forced_logits_equal_those_of_torch(model: EncoderDecoder, inputs: tuple[Tensor, ...]) -> None:
    src_BS, mask_BS, token_BN = inputs
    out_BND = torch_transformer(model)(
        embedded(model, src_BS),
        embedded(model, token_BN),
        tgt_mask=nn.Transformer.generate_square_subsequent_mask(token_BN.shape[1], dtype=torch.bool),
        tgt_is_causal=True,
        src_key_padding_mask=~mask_BS,
        memory_key_padding_mask=~mask_BS,
    )
    head = model.embedding if model.config.tie_head else model.lm_head
    logits_BNV = out_BND @ head.weight.T
    assert logits_BNV.std() > 0.3, "logits without spread would agree by chance"
    torch.testing.assert_close(model(src_BS, mask_BS, token_BN), logits_BNV, **CLOSE)


def of_width(width: int) -> ModelConfig:
    return ModelConfig(8, width, 1, 4, 4, 1, 1, architecture="transformer2017")


@pytest.mark.parametrize("width", [2, 6, 24])
def test_sinusoids_are_those_of_the_paper(width: int) -> None:
    expected = [[by_the_paper(position, column, width) for column in range(width)] for position in range(40)]
    torch.testing.assert_close(sinusoids_ND(of_width(width), 40), torch.tensor(expected), atol=1e-5, rtol=0)


def test_sinusoids_of_width_four_worked_out_by_hand() -> None:
    # D = 4: columns 0, 1 turn by 1 a position, columns 2, 3 by 10000**(-2/4) = 0.01.
    expected = [
        [0.0, 1.0, 0.0, 1.0],
        [0.841471, 0.540302, 0.010000, 0.999950],  # sin 1, cos 1, sin 0.01, cos 0.01
        [0.909297, -0.416147, 0.019999, 0.999800],  # sin 2, cos 2, sin 0.02, cos 0.02
    ]
    torch.testing.assert_close(sinusoids_ND(of_width(4), 3), torch.tensor(expected), atol=1e-6, rtol=0)


def test_positions_far_apart_stay_those_of_the_paper() -> None:
    # float32 holds an angle of a thousand radians to 6e-5.
    row_D = sinusoids_ND(of_width(24), 1001)[1000]
    expected_D = torch.tensor([by_the_paper(1000, column, 24) for column in range(24)])
    torch.testing.assert_close(row_D, expected_D, atol=2e-4, rtol=0)
