"""Which positions pruned cross-attention keeps, and which options it takes."""

import pytest
import torch
from torch import Tensor

from strategies import StrategyError, parse
from strategies.pruned_cross_kv import PrunedCross, kept_of

MOST_NEGATIVE = torch.finfo(torch.float32).min
DRAW = torch.Generator().manual_seed(4)


class Projected:
    """A projection that gives these K, [B, G, S, K], as V, too."""

    scale = 1.0

    def __init__(self, k_BGSK: Tensor):
        self.k_BGSK = k_BGSK

    def __call__(self, memory_BSD: Tensor, /) -> tuple[Tensor, Tensor]:
        return self.k_BGSK, self.k_BGSK


def positions_kept(k_BGSK: Tensor, bias: Tensor | None, kept: int) -> tuple[list[list[float]], Tensor | None]:
    """What is kept where one step of queries of ones is observed: the last number of each row of K, and the bias."""
    source = PrunedCross(Projected(k_BGSK), torch.empty(0), kept, 1)
    q_BHTK = k_BGSK.new_ones(len(k_BGSK), 1, 1, k_BGSK.shape[3])
    source.get(q_BHTK, bias)
    k_BGMK, v_BGMK, bias = source.get(q_BHTK, bias)
    assert torch.equal(k_BGMK, v_BGMK)
    return k_BGMK[:, 0, :, -1].tolist(), bias


def numbered(worth_BS: list[list[float]]) -> Tensor:
    """K, [B, 1, S, 3], whose rows have these scores with ones and end in their position."""
    worth_BS = torch.tensor(worth_BS)
    position_BS = torch.arange(worth_BS.shape[1], dtype=torch.float32).expand_as(worth_BS)
    return torch.stack((worth_BS, -position_BS, position_BS), dim=2)[:, None]


def test_positions_stay_in_their_order_and_the_earlier_of_equal_ones_is_kept():
    kept, bias = positions_kept(numbered([[0.0, 2.0, 1.0, 3.0], [1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 5.0, 0.0]]), None, 2)
    assert kept == [[1, 3], [0, 1], [0, 2]]
    assert bias is None


def test_many_equal_positions_keep_the_earliest():
    kept, _ = positions_kept(numbered([[0.0] * 3000]), None, 1500)
    assert kept == [list(range(1500))]


def test_probabilities_that_are_equal_in_half_precision_are_told_apart():
    kept, _ = positions_kept(numbered([[0.0, 0.001]]).bfloat16(), None, 1)
    assert kept == [[1]]


def test_padding_is_kept_only_where_a_sentence_is_shorter_and_stays_masked():
    masked = [[True, False, True, False, False], [True, True, True, True, False], [False, False, False, False, True]]
    bias = torch.zeros(3, 1, 1, 5).masked_fill_(torch.tensor(masked)[:, None, None], MOST_NEGATIVE)
    # Position 4 of the first sentence is never attended: its probability is 0, as that of padding is.
    kept, bias_B11M = positions_kept(numbered([[9.0, 0.0, 9.0, 0.0, -500.0], [0.0] * 5, [0.0] * 5]), bias, 3)
    assert kept == [[1, 3, 4], [0, 1, 4], [0, 1, 2]]
    assert (bias_B11M[:, 0, 0] < 0).tolist() == [[False] * 3, [True, True, False], [False] * 3]


@pytest.mark.parametrize(
    ("keep", "src_len", "kept"),
    [(0.5, 7, 4), (0.5, 8, 4), (0.07, 100, 7), (0.29, 100, 29), (1.0, 9, 9), (1, 9, 9), (1e-9, 5, 1), (0.999, 3, 3)],
)
def test_the_share_that_is_kept_is_rounded_up(keep, src_len, kept):
    assert kept_of(keep, src_len) == kept


@pytest.mark.parametrize(
    ("option", "remedy"),
    [
        ("keep=0", "keep=0.0 is not allowed; give a share above 0 and at most 1"),
        ("keep=1.5", "keep=1.5 is not allowed; give a share above 0 and at most 1"),
        ("keep=nan", "keep=nan is not allowed; give a share above 0 and at most 1"),
        ("keep=half", "keep=half is not allowed; keep takes a number, default 0.5"),
        ("observe=0", "observe=0 is not allowed; give a number of steps of at least 1"),
        ("cross=recompute", "cross=recompute is not allowed; K/V that do not persist cannot be pruned; give cached"),
        ("cross_beams=expanded", "the beams of a sentence share what is kept; give shared"),
        ("cross_beams=expanded_once", "the beams of a sentence share what is kept; give shared"),
        ("read=bucket", "a longer read serves compiled steps, and these are eager; give filled"),
        ("execution=compiled", "execution=compiled is not supported with these options; give eager"),
        ("capacity=0", "pruned_cross_kv: capacity=0 is not allowed; give at least 1"),
    ],
)
def test_what_cannot_be_is_refused_in_one_line(option, remedy):
    with pytest.raises(StrategyError) as caught:
        parse(f"pruned_cross_kv({option})")
    message = str(caught.value)
    assert message.startswith("pruned_cross_kv")
    assert remedy in message
    assert "\n" not in message


def test_it_is_approximate_and_eager_alone_and_its_label_is_read_back():
    strategy = parse("pruned_cross_kv(observe=2,keep=0.25)")
    assert not strategy.exact
    assert strategy.label == "pruned_cross_kv(keep=0.25,observe=2)"
    assert parse(strategy.label) == strategy
    assert parse("pruned_cross_kv(keep=0.5)").label == "pruned_cross_kv"
    assert strategy.executed("eager") == strategy
    assert strategy.executed("compiled") is strategy.executed("graph") is None
