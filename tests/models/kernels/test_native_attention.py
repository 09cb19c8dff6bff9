"""Attention of native code gives what torch's scaled_dot_product_attention does, for each instruction set."""

import functools
import math

import pytest
import torch
import torch.nn.functional as F

from strategies.models.kernels.native.program import Memory, Program
from strategies.models.kernels.native.stages import Rows, Stages

KEYS = (1, 15, 16, 17, 200)
MASK = torch.finfo(torch.float32).min
pytestmark = pytest.mark.usefixtures("instructions")


@pytest.fixture
def draw():
    """``draw(*shape)``: normal numbers."""
    return functools.partial(torch.randn, generator=torch.Generator().manual_seed(0))


def program(kv_heads, group, size, scale):
    stages, heads = Stages(), kv_heads * group
    stages.attention(Rows(0, heads * size), 1, 2, 3, 5, kv_heads, group, size, scale)
    return Program(stages, True, heads * size, [heads * size], Memory(), [])


def native(q_XI, k_BGMK, v_BGMK, bias=None, scale=0.3):
    """Rows of queries [B * W, H * K] -> [B * W, H * K]."""
    _, kv_heads, _, size = k_BGMK.shape
    attention = program(kv_heads, q_XI.shape[1] // (kv_heads * size), size, scale)
    return attention([q_XI, k_BGMK, v_BGMK, bias, q_XI])[0]


def of_torch(q_XI, k_BGMK, v_BGMK, bias=None, scale=0.3):
    """The same, with the rows of beams and of a group side by side: [B, G, W * H / G, K]."""
    batch, kv_heads, _, size = k_BGMK.shape
    beams = len(q_XI) // batch
    q_BGXK = q_XI.view(batch, beams, kv_heads, -1, size).transpose(1, 2).flatten(2, 3)
    out_BGXK = F.scaled_dot_product_attention(q_BGXK, k_BGMK, v_BGMK, attn_mask=bias, scale=scale)
    return out_BGXK.unflatten(2, (beams, -1)).transpose(1, 2).reshape(q_XI.shape)


def assert_equal(*given, **options):
    torch.testing.assert_close(native(*given, **options), of_torch(*given, **options), rtol=1e-5, atol=2e-6)


@pytest.mark.parametrize("size", [1, 7, 16, 64, 80])
def test_it_equals_torchs_for_any_head_and_number_of_keys(draw, size):
    for keys in KEYS:
        assert_equal(draw(2, 3 * size), draw(2, 3, keys, size), draw(2, 3, keys, size))


@pytest.mark.parametrize(("kv_heads", "group", "beams"), [(1, 1, 1), (2, 4, 1), (4, 1, 3), (2, 2, 3)])
def test_it_equals_torchs_where_heads_of_a_group_and_beams_share_k_and_v(draw, kv_heads, group, beams):
    k_BGMK, v_BGMK = draw(2, kv_heads, 17, 7), draw(2, kv_heads, 17, 7)
    q_XI = draw(2 * beams, kv_heads * group * 7)
    assert_equal(q_XI, k_BGMK, v_BGMK)
    for shape in [(2, kv_heads, beams * group, 17), (1, kv_heads, 1, 17), (2, 1, 1, 17), (1, 1, beams * group, 1)]:
        assert_equal(q_XI, k_BGMK, v_BGMK, draw(*shape))


def test_a_bias_of_any_layout_is_read_as_it_is(draw):
    q_XI, k_BGMK, v_BGMK = draw(2, 12), draw(2, 3, 17, 4), draw(2, 3, 17, 4)
    for bias in (draw(3, 1, 17, 2).movedim(-1, 0), draw(1, 3, 1, 40)[..., :17], draw(17, 3).T[None, :, None]):
        assert_equal(q_XI, k_BGMK, v_BGMK, bias)
        assert_equal(q_XI, k_BGMK, v_BGMK, bias.expand(2, -1, -1, -1))


def test_where_minus_infinity_masks_all_keys_of_a_sentence_its_result_is_zero_as_in_torch(draw):
    q_XI, k_BGMK, v_BGMK, bias = draw(2, 12), draw(2, 3, 17, 4), draw(2, 3, 17, 4), torch.zeros(2, 1, 1, 17)
    bias[0] = -math.inf
    assert_equal(q_XI, k_BGMK, v_BGMK, bias)
    assert not native(q_XI, k_BGMK, v_BGMK, bias)[0].any()


@pytest.mark.parametrize("mask", [MASK, -math.inf])
def test_masked_keys_are_not_read_into_the_result(draw, mask):
    q_XI, k_BGMK, v_BGMK = draw(3, 12), draw(3, 3, 17, 4), draw(3, 3, 17, 4)
    bias = draw(3, 3, 1, 17)
    bias[0, :, :, 5:] = bias[1, 1, :, :16] = mask
    assert_equal(q_XI, k_BGMK, v_BGMK, bias)
    v_BGMK[0, :, 9], k_BGMK[1, 1, 3] = 1e30, 1e3
    assert_equal(q_XI, k_BGMK, v_BGMK, bias)


def test_where_padding_masks_all_keys_all_weigh_alike_as_in_torch(draw):
    q_XI, k_BGMK, v_BGMK, bias = draw(2, 12), draw(2, 3, 17, 4), draw(2, 3, 17, 4), torch.full((1, 1, 1, 17), MASK)
    assert_equal(q_XI, k_BGMK, v_BGMK, bias)
    torch.testing.assert_close(native(q_XI, k_BGMK, v_BGMK, bias), v_BGMK.mean(2).flatten(1))


def test_scores_of_any_size_give_finite_weights(draw):
    q_XI, k_BGMK, v_BGMK = 1e15 * draw(2, 12), 1e15 * draw(2, 3, 17, 4), draw(2, 3, 17, 4)
    assert_equal(q_XI, k_BGMK, v_BGMK)


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_a_number_that_is_not_finite_reaches_the_results_that_it_reaches_in_torch(draw, value):
    for place in range(3):
        given = draw(2, 12), draw(2, 3, 17, 4), draw(2, 3, 17, 4)
        given[place][(1, 6) if place == 0 else (1, 1, 3, 2)] = value
        found, expected = native(*given), of_torch(*given)
        assert torch.equal(found.isnan(), expected.isnan())
        torch.testing.assert_close(found, expected, rtol=1e-5, atol=2e-6, equal_nan=True)
        assert not found.isfinite().all() or (place == 1 and value != math.nan)


def test_views_of_a_packed_product_and_of_a_longer_buffer_are_read_in_place(draw):
    packed_BMX, buffer_BGCK, q_XI = draw(2, 15, 24), draw(2, 3, 40, 4), draw(2, 12)
    k_BGMK, v_BGMK = packed_BMX.view(2, 15, 6, 4).transpose(1, 2).split(3, 1)
    assert_equal(q_XI, k_BGMK, v_BGMK)
    assert_equal(q_XI, buffer_BGCK[:, :, 3:18], v_BGMK)
    assert_equal(q_XI, k_BGMK[:1].expand(2, -1, -1, -1), buffer_BGCK[:, :, 10::2])
    assert_equal(q_XI, draw(2, 3, 4, 9).transpose(2, 3), buffer_BGCK[:, :, 9:18])


def test_one_program_takes_any_number_of_keys_and_rows(draw):
    attention = program(3, 1, 4, 0.3)
    for batch, keys in [(1, 200), (5, 3), (2, 1), (1, 17)]:
        q_XI, k_BGMK, v_BGMK = draw(batch, 12), draw(batch, 3, keys, 4), draw(batch, 3, keys, 4)
        found = attention([q_XI, k_BGMK, v_BGMK, None, q_XI])[0]
        torch.testing.assert_close(found, of_torch(q_XI, k_BGMK, v_BGMK), rtol=1e-5, atol=2e-6)


def test_the_number_of_threads_changes_no_bit(draw):
    given, found = (draw(5, 21), draw(5, 3, 17, 7), draw(5, 3, 17, 7)), []
    for threads in (1, 2, 3):
        torch.set_num_threads(threads)
        found.append(native(*given))
    assert torch.equal(found[0], found[1])
    assert torch.equal(found[0], found[2])


def test_what_a_store_gives_by_mistake_is_refused_and_not_read(draw):
    q_XI, k_BGMK = draw(4, 12), draw(2, 3, 17, 4)
    wrong = [
        (draw(2, 3, 16, 4), None, "V \\[2, 3, 16, 4\\] for 4 rows; a store must give \\[B, 3, M, 4\\]"),
        (draw(2, 3, 17, 5), None, "must give"),
        (k_BGMK.bfloat16(), None, "V torch.bfloat16, bias None; linear=panel takes torch.float32"),
        (k_BGMK, torch.ones(2, 1, 1, 17, dtype=torch.bool), "bias torch.bool"),
        (k_BGMK, torch.ones(2, 1, 1, 16), "expanded"),
    ]
    for v_BGMK, bias, line in wrong:
        with pytest.raises(RuntimeError, match=line):
            native(q_XI, k_BGMK, v_BGMK, bias)
    with pytest.raises(RuntimeError, match="for 3 rows"):
        native(q_XI[:3], k_BGMK, k_BGMK)
