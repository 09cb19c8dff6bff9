"""The ledger's rows: by hand, by tag, and in sum."""

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from strategies import ModelConfig, ModelSpec, parse
from strategies.models.costs import Product
from strategies.models.encoder_decoder import EncoderDecoder
from strategies.models.init import randomize
from suites.ledger import verify
from suites.ledger.sizes import values
from suites.ledger.symbols import GROWING, SIZES, grows_with, shape_text
from suites.ledger.table import make_ledger, read_ledger, steps_to_record, write_ledger
from suites.ledger.verify import check_shadow, in_numbers
from suites.settings.cells import Cell
from suites.store.files import ResultsError
from suites.work.formulas import formulas

from .conftest import LABELS, sources

# The fixture's model: B 2, S 6, N 8, D 14, H 3, d 5, F 22, V 29; one encoder layer, two decoder layers, gated T5.
BY_HAND = {
    ("training", "self.qkv", None): (1, 2 * 8, 14, 45, 2, "[B,N,D] x [D,3Hd]"),
    ("training", "self.scores", None): (6, 8, 5, 8, 2, "[BH,N,d] x [BH,d,N]"),
    ("training", "cross.context", None): (6, 8, 6, 5, 2, "[BH,N,S] x [BH,S,d]"),
    ("training", "lm_head", None): (1, 2 * 8, 14, 29, 1, "[B,N,D] x [D,V]"),
    ("full_recompute", "self.qkv", 5): (1, 2 * 5, 14, 45, 2, "[B,k,D] x [D,3Hd]"),
    ("full_recompute", "self.context", 5): (6, 5, 5, 5, 2, "[BH,k,k] x [BH,k,d]"),
    ("full_recompute", "cross.kv", 5): (1, 2 * 6, 14, 30, 2, "[B,S,D] x [D,2Hd]"),
    ("full_recompute", "lm_head", 5): (1, 2 * 1, 14, 29, 1, "[B,1,D] x [D,V]"),
    ("cross_kv", "cross.scores", 5): (6, 5, 5, 6, 2, "[BH,k,d] x [BH,d,S]"),
    ("contiguous_kv", "self.scores", 5): (6, 1, 5, 5, 2, "[BH,1,d] x [BH,d,k]"),
    ("contiguous_kv", "self.out", 5): (1, 2 * 1, 15, 14, 2, "[B,1,Hd] x [Hd,D]"),
    ("static_kv", "ffn.wi", 5): (1, 2 * 1, 14, 44, 2, "[B,1,D] x [D,2F]"),
    ("static_kv", "ffn.wo", 8): (1, 2 * 1, 22, 14, 2, "[B,1,F] x [F,D]"),
    ("static_kv", "cross.kv", None): (1, 2 * 6, 14, 30, 2, "[B,S,D] x [D,2Hd]"),
    ("static_kv", "encoder.self.scores", None): (6, 6, 5, 6, 1, "[BH,S,d] x [BH,d,S]"),
    ("static_kv(capacity=9,read=buffer)", "self.scores", 5): (6, 1, 5, 9, 2, "[BH,1,d] x [BH,d,C]"),
}


def one(ledger: pd.DataFrame, strategy: str, role: str, k: int | None, src_len: int = 6) -> pd.Series:
    at = ledger["k"].isna() if k is None else ledger["k"] == k
    [(_, row)] = ledger[
        (ledger["strategy"] == strategy) & (ledger["role"] == role) & at & (ledger["src_len"] == src_len)
    ].iterrows()
    return row


@pytest.mark.parametrize("key", BY_HAND, ids=lambda key: "-".join(map(str, key)))
def test_rows_equal_those_worked_out_by_hand(ledger, key):
    batch, rows, inner, cols, count, shape = BY_HAND[key]
    row = one(ledger, *key)
    assert [row["batch"], row["rows"], row["inner"], row["cols"], row["count"]] == [batch, rows, inner, cols, count]
    assert row["shape"] == shape
    assert row["flops"] == 2 * batch * rows * inner * cols
    assert row["kind"] == ("bGEMM" if key[1].endswith(("scores", "context")) else "GEMM")


def test_bytes_are_those_of_both_factors_and_the_result(ledger):
    row = one(ledger, "static_kv", "ffn.wi", 5)
    assert (row["input_bytes"], row["operand_bytes"], row["output_bytes"]) == (4 * 2 * 14, 4 * 14 * 44, 4 * 2 * 44)
    row = one(ledger, "static_kv", "self.scores", 5)
    assert (row["operand_bytes"], row["output_bytes"]) == (4 * 2 * 3 * 5 * 5, 0)


# Role -> what it grows with: training, recomputed, one row over k keys, one row over the whole buffer.
TAGS = {
    "self.qkv": ("N", "k", "-", "-"),
    "self.scores": ("N N", "k k", "k", "C"),
    "self.context": ("N N", "k k", "k", "C"),
    "self.out": ("N", "k", "-", "-"),
    "cross.q": ("N", "k", "-", "-"),
    "cross.kv": ("S", "S", "S", "S"),
    "cross.scores": ("N S", "k S", "S", "S"),
    "cross.context": ("N S", "k S", "S", "S"),
    "cross.out": ("N", "k", "-", "-"),
    "ffn.wi": ("N", "k", "-", "-"),
    "ffn.wo": ("N", "k", "-", "-"),
    "lm_head": ("N", "-", "-", "-"),
    "encoder.self.qkv": ("S",) * 4,
    "encoder.self.scores": ("S S",) * 4,
    "encoder.self.context": ("S S",) * 4,
    "encoder.self.out": ("S",) * 4,
    "encoder.ffn.wi": ("S",) * 4,
    "encoder.ffn.wo": ("S",) * 4,
}


@pytest.mark.parametrize("label", ["training", *LABELS])
def test_tags_of_every_role(ledger, label):
    kind = (
        0 if label == "training" else 3 if "buffer" in label else 2 if "contiguous" in label or "static" in label else 1
    )
    mine = ledger[
        (ledger["strategy"] == label) & (ledger["kind"] != "copy") & (ledger["k"].isna() | (ledger["k"] == 5))
    ]
    mine = mine[mine["src_len"] == 6]
    assert dict(zip(mine["role"], mine["grows_with"], strict=True)) == {role: tags[kind] for role, tags in TAGS.items()}
    when = dict(zip(mine["role"], mine["when"], strict=True))
    again = label == "full_recompute" or "cross=recompute" in label
    for role in TAGS:
        once = label == "training" or role.startswith("encoder.") or (role == "cross.kv" and not again)
        assert when[role] == ("once a sentence" if once else "every step"), role


@pytest.mark.parametrize("label", LABELS)
def test_flops_sum_to_those_of_a_run(ledger, tiny_model, label):
    config = tiny_model("t5").config
    cell = Cell(ModelSpec("tiny", "random"), 6, 8, 2, "cpu", "fp32", 1, 0, "fixed")
    run = formulas(config, cell, parse(label))
    mine = ledger[(ledger["strategy"] == label) & (ledger["src_len"] == 6)]
    work = (mine["flops"] * mine["count"]).groupby(mine["k"].fillna(0)).sum()
    assert work[0] == run.prefill_flops
    assert {k: work[k] for k in (1, 5, 8)} == {k: run.step_flops[k - 1] for k in (1, 5, 8)}
    copies = mine[mine["kind"] == "copy"].set_index("k")
    moved = {k: 2 * copies["count"][k] * copies["input_bytes"][k] for k in (1, 5, 8)}
    assert moved == {k: run.copy_bytes[k - 1] for k in (1, 5, 8)}


def test_another_source_length_changes_what_grows_with_it_alone(ledger):
    for role, tags in TAGS.items():
        rows = [
            one(ledger, "static_kv", role, None if ("S" in tags[2] and "cross.k" in role) or "enc" in role else 1, s)
            for s in (6, 3)
        ]
        assert (rows[0]["flops"] != rows[1]["flops"]) == ("S" in tags[2]), role


@settings(max_examples=15, deadline=None)
@given(
    architecture=st.sampled_from(["t5", "transformer2017"]),
    sizes=st.fixed_dictionaries(
        {
            "vocab_size": st.integers(4, 40),
            "d_model": st.integers(1, 9).map(lambda n: 2 * n),
            "num_kv_heads": st.integers(1, 3),
            "d_kv": st.integers(1, 9),
            "d_ff": st.integers(1, 30),
            "encoder_layers": st.integers(1, 3),
            "decoder_layers": st.integers(1, 3),
        }
    ),
    group=st.integers(1, 3),
    gated=st.booleans(),
    case=st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)),
    label=st.sampled_from(LABELS),
    beams=st.integers(1, 3),
)
def test_formula_and_record_agree_for_any_shape(architecture, sizes, group, gated, case, label, beams):
    batch, src_len, tgt_len = case
    heads = sizes["num_kv_heads"] * group
    config = ModelConfig(**sizes, num_heads=heads, architecture=architecture, gated=gated and architecture == "t5")
    model = randomize(EncoderDecoder(config), 0).eval()
    recorded = [(sources(model, batch, src_len), (1, tgt_len))]
    found = make_ledger(model, [parse(label)], recorded, tgt_len, beams=beams)
    assert set(found["k"].dropna()) == {1, tgt_len}


@pytest.mark.parametrize("label", [*LABELS, "static_kv(capacity=17,read=buffer)", "static_kv(capacity=13,read=buffer)"])
def test_no_two_letters_of_the_shadow_have_the_same_number(tiny_model, architecture, label):
    """What makes the check on the shadow a check: every size of its products is one product of letters."""
    shadow, bound, steps = verify._bind(parse(label))
    config = shadow.config(tiny_model(architecture).config)
    known = verify.facts(bound, steps, shadow.source)
    step = min(shadow.step, steps - (steps == known.capacity))
    numbers = values(config, B=shadow.batch, S=shadow.source, N=shadow.target)
    numbers |= verify.expected.numbers(bound, step, shadow.source, 1)
    seen: dict[int, set[object]] = {}
    for letters in (
        verify.expected.training(config),
        verify.expected.prefill(config, known),
        verify.expected.step(config, known),
    ):
        for said, number in zip(letters, in_numbers(letters, numbers), strict=True):
            for size in ("batch", "rows", "inner", "cols"):
                seen.setdefault(getattr(number, size), set()).add(getattr(said, size))
    assert all(len(expressions) == 1 for expressions in seen.values()), seen


def test_every_registered_strategy_has_a_ledger(strategy, tiny_model):
    """With all its options; a new file is checked without a new test."""
    check_shadow(tiny_model("transformer2017").config, [strategy])


def test_what_was_written_is_read_back(ledger, tmp_path):
    write_ledger(ledger, tmp_path)
    pd.testing.assert_frame_equal(read_ledger(tmp_path), ledger, check_dtype=False)


def test_a_ledger_that_has_the_head_size_as_k_is_read_as_d(ledger, tmp_path):
    """As earlier versions wrote it."""
    old = ledger.copy()
    for name in ("shape", "batch_letters", "rows_letters", "inner_letters", "cols_letters"):
        old[name] = old[name].str.replace("d", "K")
    assert "[BH,1,K] x [BH,K,k]" in set(old["shape"])
    write_ledger(old, tmp_path)
    pd.testing.assert_frame_equal(read_ledger(tmp_path), ledger, check_dtype=False)


@pytest.mark.parametrize("content", ["", "a,b\n1,2\n", "strategy,k\nx,yes\n", "\x00\x01"])
def test_a_foreign_file_gets_one_line(tmp_path, content):
    (tmp_path / "ledger.csv").write_text(content)
    with pytest.raises(ResultsError) as caught:
        read_ledger(tmp_path)
    assert "\n" not in str(caught.value)
    assert "ledger.csv" in str(caught.value)


def test_the_first_three_steps_the_chosen_and_the_last_are_recorded():
    assert {1, 2, 3, 77, 100} <= set(steps_to_record(100, 77))
    assert steps_to_record(1, 1) == [1]


def test_letters_are_written_in_one_order():
    product = Product("decoder.self_attn.scores", GROWING["k"] * 1, SIZES["d"], SIZES["H"], SIZES["B"] * SIZES["H"])
    assert shape_text(product, SIZES["B"]) == "[k,d,H] x [k,H,BH]"
    assert grows_with(product) == "k"
