"""The closed formulas, against numbers worked out by hand for one tiny shape.

V 11, D 6, H 2, K 5 (so that all heads together are 10 wide, not 6), F 7, 2 encoder and 3 decoder layers.
"""

import dataclasses

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ModelConfig
from strategies.models.costs import (
    Product,
    StepBytes,
    StepShape,
    Widths,
    cross_projection,
    decoder,
    encoder,
    flops,
    kv_bytes,
    necessary_flops,
    role_bytes,
    role_flops,
    step_bytes,
)

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


def test_sharing_k_and_v_divides_their_bytes_and_leaves_the_flops_of_attention() -> None:
    multi_head, step = dataclasses.replace(TINY, num_heads=6), {"rows": 1, "keys": 5, "copied": 4}
    assert kv_bytes(GROUPED, 2, 5, 4) == kv_bytes(multi_head, 2, 5, 4) // 3
    shared, own = (step_bytes(c, StepShape(2, 4, **step), Widths(4)) for c in (GROUPED, multi_head))
    assert [3 * shared.self_kv, 3 * shared.cross_kv, 3 * shared.copies] == [own.self_kv, own.cross_kv, own.copies]
    found, expected = (role_flops(decoder(c, 2, 4, 1, 5)) for c in (GROUPED, multi_head))
    assert {r: n for r, n in found.items() if "qkv" not in r} == {r: n for r, n in expected.items() if "qkv" not in r}


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


# A row of K and V in float32, all layers: 2 (K, V) * B 2 * 10 * 4 bytes * 3 layers = 480 bytes.
# Weights of one decoder layer: qkv 180, out 60, cross q 60, cross out 60, wi 42, wo 42 = 444 elements; the head has 66.


def test_bytes_of_a_step_that_copies_a_growing_cache() -> None:
    assert step_bytes(TINY, StepShape(2, 4, rows=1, keys=5, copied=4), Widths(4)) == StepBytes(
        weights=5592,  # (3 * 444 + 66) * 4
        self_kv=2880,  # 1 row written, 5 read: 6 * 480
        cross_kv=1920,  # 4 source rows read: 4 * 480
        copies=3840,  # 4 rows read and written: 2 * 4 * 480
    )


def test_bytes_of_a_step_that_recomputes_everything() -> None:
    assert step_bytes(TINY, StepShape(2, 4, rows=5, keys=5, cross_recomputed=True), Widths(4)) == StepBytes(
        weights=7032,  # the cross projection's 3 * 120 elements join the 1398
        self_kv=4800,  # 5 rows written, 5 read: 10 * 480
        cross_kv=4416,  # read 1920, written 1920, and the encoder's output B 2 * S 4 * D 6 * 4 bytes * 3 layers = 576
        copies=0,
    )


def test_bytes_where_the_second_feed_forward_matrix_is_wider() -> None:
    bytes_moved = step_bytes(TINY, StepShape(2, 4, rows=1, keys=5, copied=4), Widths(2, 4))
    # wo has 3 * 42 elements of 4 bytes, the other 1398 - 126 = 1272 have 2; K and V are half of the above.
    assert bytes_moved == StepBytes(weights=504 + 2544, self_kv=1440, cross_kv=960, copies=1920)
    assert bytes_moved.total == 7368


def test_kv_bytes_of_all_decoder_layers() -> None:
    assert kv_bytes(TINY, batch=2, rows=5, width=2) == 1200  # 2 * 2 * 10 * 5 * 3 * 2


def test_bytes_by_role_of_a_step_that_copies_a_growing_cache() -> None:
    """K alone, or V alone, is half a row of 480 bytes; weights are elements * 4 bytes * 3 layers."""
    assert role_bytes(TINY, StepShape(2, 4, rows=1, keys=5, copied=4), Widths(4)) == {
        "decoder.self_attn.qkv": StepBytes(weights=2160),  # 6 * 30 = 180
        "decoder.self_attn.append": StepBytes(self_kv=480, copies=3840),  # 1 row written; 4 rows read and written
        "decoder.self_attn.scores": StepBytes(self_kv=1200),  # K of 5 rows
        "decoder.self_attn.context": StepBytes(self_kv=1200),  # V of 5 rows
        "decoder.self_attn.out": StepBytes(weights=720),  # 10 * 6 = 60
        "decoder.cross_attn.q": StepBytes(weights=720),
        "decoder.cross_attn.scores": StepBytes(cross_kv=960),  # K of 4 source rows
        "decoder.cross_attn.context": StepBytes(cross_kv=960),
        "decoder.cross_attn.out": StepBytes(weights=720),
        "decoder.ffn.wi": StepBytes(weights=504),  # 6 * 7 = 42
        "decoder.ffn.wo": StepBytes(weights=504),
        "lm_head": StepBytes(weights=264),  # 6 * 11 * 4 bytes, once
    }


def test_projecting_cross_kv_again_moves_its_weight_the_memory_and_what_it_writes() -> None:
    once = role_bytes(TINY, StepShape(2, 4, rows=5, keys=5), Widths(4))
    again = role_bytes(TINY, StepShape(2, 4, rows=5, keys=5, cross_recomputed=True), Widths(4))
    # 3 * 6 * 20 * 4 bytes of weights; the memory's 576 bytes read, 4 * 480 of K and V written.
    assert again == once | {"decoder.cross_attn.kv": StepBytes(weights=1440, cross_kv=576 + 1920)}


def test_flops_by_role_merge_equal_roles() -> None:
    products = [Product("a", 1, 2, 3, 4), Product("b", 1, 1, 1, 1), Product("a", 1, 1, 1, 1, count=3)]
    assert role_flops(products) == {"a": 48 + 6, "b": 2}


sizes = st.integers(1, 9)


@settings(derandomize=True, deadline=None, max_examples=100)
@given(st.data())
def test_sums_over_roles_are_the_parts_written_out(data: st.DataObject) -> None:
    """The four parts by a formula of their own: what ``step_bytes`` said before it was a sum."""
    kv_heads = data.draw(sizes)
    config = ModelConfig(
        vocab_size=1 + data.draw(sizes),
        d_model=2 * data.draw(sizes),
        num_heads=kv_heads * data.draw(st.integers(1, 3)),
        num_kv_heads=kv_heads,
        d_kv=data.draw(sizes),
        d_ff=data.draw(sizes),
        encoder_layers=1,
        decoder_layers=data.draw(st.integers(1, 4)),
        gated=data.draw(st.booleans()),
    )
    batch, source, rows, keys, copied = (data.draw(sizes) for _ in range(5))
    recomputed, width = data.draw(st.booleans()), data.draw(st.sampled_from([2, 4]))
    d, inner, layers = config.d_model, config.inner, config.decoder_layers
    kv_inner = kv_heads * config.d_kv
    layer = 4 * d * inner + 2 * d * kv_inner + d * config.d_ff * (3 if config.gated else 2)
    kv_row = kv_bytes(config, batch, 1, width)
    expected = StepBytes(
        weights=width * (layers * (layer + recomputed * 2 * d * kv_inner) + d * config.vocab_size),
        self_kv=(rows + keys) * kv_row,
        cross_kv=source * kv_row + recomputed * (source * kv_row + batch * source * d * layers * width),
        copies=2 * copied * kv_row,
    )
    shape = StepShape(batch, source, rows, keys, copied, recomputed)
    by_role = role_bytes(config, shape, Widths(width))
    assert step_bytes(config, shape, Widths(width)) == expected
    assert sum(part.total for part in by_role.values()) == expected.total
    products = decoder(config, batch, source, rows, keys)
    assert sum(role_flops(products).values()) == flops(products)
    assert by_role.keys() - {"decoder.self_attn.append", "decoder.cross_attn.kv"} == role_flops(products).keys()
