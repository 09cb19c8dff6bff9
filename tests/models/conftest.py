"""Small models whose weights have real spread, and the strategies that every model must answer alike under."""

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from strategies import ModelConfig, Session, Strategy, parse, select
from strategies.models.encoder_decoder import EncoderDecoder

CAPACITY = 29
STRATEGIES = list(
    dict.fromkeys(
        [
            *select("core"),
            *select("grid"),
            parse("static_kv(read=buffer)"),
            parse(f"static_kv(capacity={CAPACITY},read=buffer)"),
            parse(f"static_kv(capacity={CAPACITY},read=buffer,cross=recompute)"),
        ]
    )
)

T5 = ModelConfig(
    vocab_size=43,
    d_model=24,
    num_heads=3,
    d_kv=5,
    d_ff=40,
    encoder_layers=1,
    decoder_layers=2,
    gated=True,
    tie_head=False,
    scale_head=False,
    relative_buckets=8,
    relative_max_distance=10,
    start_id=2,
)
PAPER = ModelConfig(
    vocab_size=43,
    d_model=24,
    num_heads=3,
    d_kv=5,
    d_ff=40,
    encoder_layers=1,
    decoder_layers=2,
    architecture="transformer2017",
    start_id=2,
)


@pytest.fixture(params=STRATEGIES, ids=lambda strategy: strategy.label)
def strategy(request: pytest.FixtureRequest) -> Strategy:
    return request.param


@pytest.fixture(params=[T5, PAPER], ids=["t5", "transformer2017"])
def config(request: pytest.FixtureRequest) -> ModelConfig:
    return request.param


@pytest.fixture(scope="session")
def t5() -> ModelConfig:
    return T5


@pytest.fixture(scope="session")
def every_strategy() -> list[Strategy]:
    return STRATEGIES


@pytest.fixture(scope="session")
def scatter() -> Callable[..., nn.Module]:
    """Fill every parameter from a seed, norms and biases too: at their initial 1 and 0 they would hide mistakes."""

    @torch.no_grad()
    def fill(module: nn.Module, seed: int, embedding_std: float = 0.5) -> nn.Module:
        generator = torch.Generator().manual_seed(seed)
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.dim() == 1:
                parameter.copy_(0.3 * noise + (1 if "norm" in name and name.endswith("weight") else 0))
            elif "relative" in name:
                parameter.copy_(noise)
            elif "embedding" in name or "shared" in name:
                parameter.copy_(embedding_std * noise)
            else:
                parameter.copy_(1.2 * parameter.shape[1] ** -0.5 * noise)
        return module.eval().requires_grad_(False)

    return fill


@pytest.fixture(scope="session")
def build(scatter: Callable[..., nn.Module]) -> Callable[..., EncoderDecoder]:
    """A model of our own definition with scattered weights."""
    return lambda config, seed=0: scatter(EncoderDecoder(config), seed)


@pytest.fixture(scope="session")
def decode() -> Callable[..., Tensor]:
    """Logits [B, N, V] of a session's steps, fed the given tokens."""

    def run(
        model: EncoderDecoder, strategy: Strategy, src_BS: Tensor, mask_BS: Tensor | None, token_BN: Tensor
    ) -> Tensor:
        session = Session(model, strategy, *src_BS.shape, token_BN.shape[1])
        session.prefill(src_BS, mask_BS)
        return torch.stack([session.step(token_B).clone() for token_B in token_BN.T], dim=1)

    return run


@pytest.fixture(scope="session")
def batch() -> Callable[..., tuple[Tensor, Tensor, Tensor]]:
    """Sources [B, S] whose padding holds arbitrary ids, their mask, and decoder inputs [B, N]."""

    def draw(config: ModelConfig, src_lens: list[int], target_len: int, seed: int) -> tuple[Tensor, Tensor, Tensor]:
        generator = torch.Generator().manual_seed(seed)
        longest = max(src_lens)
        src_BS = torch.randint(config.vocab_size, (len(src_lens), longest), generator=generator)
        token_BN = torch.randint(config.vocab_size, (len(src_lens), target_len), generator=generator)
        token_BN[:, 0] = config.start_id
        return src_BS, torch.arange(longest) < torch.tensor(src_lens)[:, None], token_BN

    return draw
