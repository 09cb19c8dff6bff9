"""The closed formulas of products, against numbers worked out by hand for one tiny shape.

V 11, D 6, H 2, K 5 (so that all heads together are 10 wide, not 6), F 7, 2 encoder and 3 decoder layers.
"""

import dataclasses

import pytest

from strategies import ModelConfig
from strategies.models.costs import Product, cross_projection, decoder, encoder, flops, necessary_flops, role_flops

TINY = ModelConfig(vocab_size=11, d_model=6, num_heads=2, d_kv=5, d_ff=7, encoder_layers=2, decoder_layers=3)
GATED = dataclasses.replace(TINY, gated=True)
GROUPED = dataclasses.replace(TINY, num_heads=6, num_kv_heads=2)


def test_a_product_costs_a_multiplication_and_an_addition_for_each_term() -> None:
    assert Product("any", batch=3, rows=5, inner=7, cols=11, count=2).flops == 2 * 3 * 5 * 7 * 11 * 2


def test_encoder_products_of_two_sentences_of_four_tokens() -> None:
    assert sorted(encoder(TINY, batch=2, src_len=4)) == sorted(
        [
            Product("encoder.self_attn.qkv", 1, 8, 6, 30, 2),  # 2 * 8 * 6 * 30 * 2 = 5760
            Product("encoder.self_attn.scores", 4, 4, 5, 4, 2),  # 2 * 4 * 4 * 5 * 4 * 2 = 1280
            Product("encoder.self_attn.context", 4, 4, 4, 5, 2),  # 1280
            Product("encoder.self_attn.out", 1, 8, 10, 6, 2),  # 2 * 8 * 10 * 6 * 2 = 1920
            Product("encoder.ffn.wi", 1, 8, 6, 7, 2),  # 2 * 8 * 6 * 7 * 2 = 1344
            Product("encoder.ffn.wo", 1, 8, 7, 6, 2),  # 1344
        ]
    )
    assert flops(encoder(TINY, 2, 4)) == 12928  # the sum of these


def test_cross_projection_makes_k_and_v_of_every_decoder_layer() -> None:
    assert cross_projection(TINY, batch=2, src_len=4) == [Product("decoder.cross_attn.kv", 1, 8, 6, 20, 3)]
    assert flops(cross_projection(TINY, 2, 4)) == 5760  # 2 * 8 * 6 * 20 * 3


def test_decoder_products_of_one_row_that_attends_three_keys() -> None:
    assert sorted(decoder(TINY, batch=2, src_len=4, rows=1, keys=3)) == sorted(
        [
            Product("decoder.self_attn.qkv", 1, 2, 6, 30, 3),  # 2 * 2 * 6 * 30 * 3 = 2160
            Product("decoder.self_attn.scores", 4, 1, 5, 3, 3),  # 2 * 4 * 5 * 3 * 3 = 360
            Product("decoder.self_attn.context", 4, 1, 3, 5, 3),  # 360
            Product("decoder.self_attn.out", 1, 2, 10, 6, 3),  # 2 * 2 * 10 * 6 * 3 = 720
            Product("decoder.cross_attn.q", 1, 2, 6, 10, 3),  # 720
            Product("decoder.cross_attn.scores", 4, 1, 5, 4, 3),  # 2 * 4 * 5 * 4 * 3 = 480
            Product("decoder.cross_attn.context", 4, 1, 4, 5, 3),  # 480
            Product("decoder.cross_attn.out", 1, 2, 10, 6, 3),  # 720
            Product("decoder.ffn.wi", 1, 2, 6, 7, 3),  # 2 * 2 * 6 * 7 * 3 = 504
            Product("decoder.ffn.wo", 1, 2, 7, 6, 3),  # 504
            Product("lm_head", 1, 2, 6, 11, 1),  # 2 * 2 * 6 * 11 = 264
        ]
    )
    assert flops(decoder(TINY, 2, 4, 1, 3)) == 7272  # the sum of these


def test_query_heads_that_share_k_and_v_are_rows_of_one_product() -> None:
    """H 6, G 2, so three rows a fed row: Q is 30 wide, K and V 10 each. Two sentences, two rows fed, three keys."""
    assert sorted(decoder(GROUPED, batch=2, src_len=4, rows=2, keys=3)) == sorted(
        [
            Product("decoder.self_attn.qkv", 1, 4, 6, 50, 3),
            Product("decoder.self_attn.scores", 4, 6, 5, 3, 3),
            Product("decoder.self_attn.context", 4, 6, 3, 5, 3),
            Product("decoder.self_attn.out", 1, 4, 30, 6, 3),
            Product("decoder.cross_attn.q", 1, 4, 6, 30, 3),
            Product("decoder.cross_attn.scores", 4, 6, 5, 4, 3),
            Product("decoder.cross_attn.context", 4, 6, 4, 5, 3),
            Product("decoder.cross_attn.out", 1, 4, 30, 6, 3),
            Product("decoder.ffn.wi", 1, 4, 6, 7, 3),
            Product("decoder.ffn.wo", 1, 4, 7, 6, 3),
            Product("lm_head", 1, 2, 6, 11, 1),
        ]
    )
    assert Product("encoder.self_attn.scores", 4, 12, 5, 4, 2) in encoder(GROUPED, batch=2, src_len=4)
    assert cross_projection(GROUPED, batch=2, src_len=4) == [Product("decoder.cross_attn.kv", 1, 8, 6, 20, 3)]


def test_a_step_that_feeds_three_rows_pays_thrice_for_all_but_the_head() -> None:
    # 3 * (7272 - 264) + 264: the head still runs on the last row only.
    assert flops(decoder(TINY, 2, 4, rows=3, keys=3)) == 21288
    # In training the head runs on all three: 3 * 7272.
    assert flops(decoder(TINY, 2, 4, rows=3, keys=3, logit_rows=3)) == 21816


def test_a_gated_feed_forward_doubles_its_first_product_only() -> None:
    # wi of 2 encoder layers costs 1344 ungated, of 3 decoder layers 504.
    assert flops(encoder(GATED, 2, 4)) == 12928 + 1344
    assert flops(decoder(GATED, 2, 4, 1, 3)) == 7272 + 504


def test_necessary_flops_count_real_tokens_one_row_a_step_and_cross_kv_once() -> None:
    # One sentence of s real tokens, 3 steps:
    #   encoder     2 layers * (360 s qkv + 40 s s scores and context + 120 s out + 168 s ffn) = 1296 s + 80 s s
    #   cross K/V   3 layers * 240 s                                                           = 720 s
    #   step k      3 layers * (888 + 40 k + 40 s) + 132 head                                  = 2796 + 120 k + 120 s
    #   k = 1, 2, 3 together                                                                   = 9108 + 360 s
    # s = 4: 6464 + 2880 + 10548 = 19892;  s = 1: 1376 + 720 + 9468 = 11564.
    assert necessary_flops(TINY, [4], [3]) == 19892
    assert necessary_flops(TINY, [1], [3]) == 11564
    assert necessary_flops(TINY, [4, 1], [3, 3]) == 19892 + 11564
    # s = 1 with the first step alone: 1376 + 720 + 2796 + 120 + 120 = 5132.
    assert necessary_flops(TINY, [4, 1], [3, 1]) == 19892 + 5132


@pytest.mark.parametrize(("config", "target_len"), [(TINY, 1), (TINY, 8), (GATED, 7)])
def test_necessary_flops_equal_the_sum_over_steps(config: ModelConfig, target_len: int) -> None:
    steps = sum(flops(decoder(config, 1, 5, 1, k)) for k in range(1, target_len + 1))
    once = flops(encoder(config, 1, 5)) + flops(cross_projection(config, 1, 5))
    assert necessary_flops(config, [5, 5], [target_len] * 2) == 2 * (once + steps)


def test_flops_by_role_merge_equal_roles() -> None:
    products = [Product("a", 1, 2, 3, 4), Product("b", 1, 1, 1, 1), Product("a", 1, 1, 1, 1, count=3)]
    assert role_flops(products) == {"a": 48 + 6, "b": 2}
