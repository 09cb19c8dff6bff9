"""The optimizer of the layers' matrices."""

import pytest
import torch

from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize
from strategies.models.pronounce import model_config
from strategies.models.pronounce.muon import Muon, orthogonalized
from strategies.models.pronounce.train import make_optimizers


@pytest.mark.parametrize("shape", [(1, 192, 768), (1, 768, 192), (3, 192, 192)])
def test_most_singular_values_come_to_lie_around_one(shape):
    matrix = torch.randn(shape, generator=torch.Generator().manual_seed(0))
    before, after = torch.linalg.svdvals(matrix), torch.linalg.svdvals(orthogonalized(matrix))
    assert after.max() < 1.3
    assert after.quantile(0.1) > 0.6
    assert before.max() / before.quantile(0.1) > 1.5 * after.max() / after.quantile(0.1) or shape[1] != shape[2]


def test_directions_are_kept():
    matrix = torch.randn(1, 12, 30, generator=torch.Generator().manual_seed(1))
    u, _, vh = torch.linalg.svd(matrix[0], full_matrices=False)
    assert torch.nn.functional.cosine_similarity(orthogonalized(matrix).flatten(), (u @ vh).flatten(), dim=0) > 0.97


def test_packed_matrices_are_orthogonalized_apart():
    """A gradient in one part alone leaves the others where they are, but for weight decay."""
    weight = torch.nn.Parameter(torch.ones(12, 4))
    optimizer = Muon([{"params": [weight], "parts": 3}], lr=0.1, weight_decay=0.0)
    weight.grad = torch.zeros(12, 4)
    weight.grad[4:8] = torch.eye(4)
    optimizer.step()
    moved = (weight.detach() - 1).abs().amax(1) > 0
    assert moved.tolist() == [False] * 4 + [True] * 4 + [False] * 4


def test_an_update_is_as_large_as_adam_s():
    weight = torch.nn.Parameter(torch.zeros(64, 192))
    optimizer = Muon([{"params": [weight]}], lr=0.5, weight_decay=0.0)
    weight.grad = torch.randn(64, 192, generator=torch.Generator().manual_seed(2))
    optimizer.step()
    assert weight.detach().square().mean().sqrt() == pytest.approx(0.5 * 0.2, rel=0.15)


def test_every_parameter_has_one_optimizer():
    model = randomize(EncoderDecoder(model_config()), 0)
    muon, adam = make_optimizers(model)
    held = [p for optimizer in (muon, adam) for group in optimizer.param_groups for p in group["params"]]
    assert len(held) == len(set(map(id, held))) == len(list(model.parameters()))
    packed = {group["parts"]: {tuple(p.shape) for p in group["params"]} for group in muon.param_groups}
    assert packed[3] == {(576, 192)}
    assert packed[2] == {(384, 192)}
    assert all(p is not model.embedding.weight for group in muon.param_groups for p in group["params"])
