"""The closed formulas of bytes, against numbers worked out by hand for the tiny shape of ``test_costs.py``."""

import dataclasses

from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ModelConfig
from strategies.models.costs import StepShape, decoder, flops, role_flops
from strategies.models.traffic import ElementBytes, StepBytes, kv_bytes, role_bytes, step_bytes

from .test_costs import GROUPED, TINY

# A row of K and V in float32, all layers: 2 (K, V) * B 2 * 10 * 4 bytes * 3 layers = 480 bytes.
# Weights of one decoder layer: qkv 180, out 60, cross q 60, cross out 60, wi 42, wo 42 = 444 elements; the head has 66.


def test_bytes_of_a_step_that_copies_a_growing_cache() -> None:
    assert step_bytes(TINY, StepShape(2, 4, rows=1, keys=5, copied=4), ElementBytes(4)) == StepBytes(
        weights=5592,  # (3 * 444 + 66) * 4
        self_kv=2880,  # 1 row written, 5 read: 6 * 480
        cross_kv=1920,  # 4 source rows read: 4 * 480
        copies=3840,  # 4 rows read and written: 2 * 4 * 480
    )


def test_bytes_of_a_step_that_recomputes_everything() -> None:
    assert step_bytes(TINY, StepShape(2, 4, rows=5, keys=5, cross_recomputed=True), ElementBytes(4)) == StepBytes(
        weights=7032,  # the cross projection's 3 * 120 elements join the 1398
        self_kv=4800,  # 5 rows written, 5 read: 10 * 480
        cross_kv=4416,  # read 1920, written 1920, and the encoder's output B 2 * S 4 * D 6 * 4 bytes * 3 layers = 576
        copies=0,
    )


def test_bytes_where_the_second_feed_forward_matrix_is_wider() -> None:
    bytes_moved = step_bytes(TINY, StepShape(2, 4, rows=1, keys=5, copied=4), ElementBytes(2, 4))
    # wo has 3 * 42 elements of 4 bytes, the other 1398 - 126 = 1272 have 2; K and V are half of the above.
    assert bytes_moved == StepBytes(weights=504 + 2544, self_kv=1440, cross_kv=960, copies=1920)
    assert bytes_moved.total == 7368


def test_kv_bytes_of_all_decoder_layers() -> None:
    assert kv_bytes(TINY, batch=2, rows=5, width=2) == 1200  # 2 * 2 * 10 * 5 * 3 * 2


def test_bytes_by_role_of_a_step_that_copies_a_growing_cache() -> None:
    """K alone, or V alone, is half a row of 480 bytes; weights are elements * 4 bytes * 3 layers."""
    assert role_bytes(TINY, StepShape(2, 4, rows=1, keys=5, copied=4), ElementBytes(4)) == {
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
    once = role_bytes(TINY, StepShape(2, 4, rows=5, keys=5), ElementBytes(4))
    again = role_bytes(TINY, StepShape(2, 4, rows=5, keys=5, cross_recomputed=True), ElementBytes(4))
    # 3 * 6 * 20 * 4 bytes of weights; the memory's 576 bytes read, 4 * 480 of K and V written.
    assert again == once | {"decoder.cross_attn.kv": StepBytes(weights=1440, cross_kv=576 + 1920)}


def test_sharing_k_and_v_divides_their_bytes_and_leaves_the_flops_of_attention() -> None:
    multi_head, step = dataclasses.replace(TINY, num_heads=6), {"rows": 1, "keys": 5, "copied": 4}
    assert kv_bytes(GROUPED, 2, 5, 4) == kv_bytes(multi_head, 2, 5, 4) // 3
    shared, own = (step_bytes(c, StepShape(2, 4, **step), ElementBytes(4)) for c in (GROUPED, multi_head))
    assert [3 * shared.self_kv, 3 * shared.cross_kv, 3 * shared.copies] == [own.self_kv, own.cross_kv, own.copies]
    found, expected = (role_flops(decoder(c, 2, 4, 1, 5)) for c in (GROUPED, multi_head))
    assert {r: n for r, n in found.items() if "qkv" not in r} == {r: n for r, n in expected.items() if "qkv" not in r}


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
    by_role = role_bytes(config, shape, ElementBytes(width))
    assert step_bytes(config, shape, ElementBytes(width)) == expected
    assert sum(part.total for part in by_role.values()) == expected.total
    products = decoder(config, batch, source, rows, keys)
    assert sum(role_flops(products).values()) == flops(products)
    assert by_role.keys() - {"decoder.self_attn.append", "decoder.cross_attn.kv"} == role_flops(products).keys()
