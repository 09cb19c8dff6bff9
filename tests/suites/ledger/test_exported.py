"""What a page's script computes from the exported letters is what the ledger says."""

import math

import pytest

from strategies import ModelConfig, parse
from strategies.contiguous_kv import ContiguousKV
from suites.ledger.exported import layer_letters
from suites.ledger.formula import formula_ledger
from suites.work.polynomial import evaluated

CONFIG = ModelConfig(
    vocab_size=101, d_model=24, num_heads=4, d_kv=7, d_ff=43, encoder_layers=2, decoder_layers=3, num_kv_heads=2
)
BUCKET = "static_kv(read=bucket)"
NAMES = (
    "full_recompute", "cross_kv", "contiguous_kv", "static_kv", "static_kv(read=buffer)", "static_kv(capacity=99)",
    BUCKET, "static_kv(capacity=100,read=bucket)",
)  # fmt: skip
N = 97


class Chunks(ContiguousKV):
    """Room for K and V that grows by eight rows at a time, which no letter says."""

    def rows_reserved(self, k):
        return 8 * math.ceil(k / 8)


def test_a_window_that_reads_fewer_keys_than_it_attended_has_no_letters():
    data = layer_letters(CONFIG, [parse("sliding_kv(window=8,sinks=1)"), parse("static_kv")])
    assert [one["label"] for one in data["strategies"]] == ["static_kv"]


OF_BEAMS = (
    "contiguous_kv(cross_beams=expanded)", "static_kv(cross=recompute,cross_beams=expanded_once)",
    "static_kv(read=bucket,reorder=table)",
)  # fmt: skip


@pytest.mark.parametrize(
    ("name", "beams"), [*((name, 1) for name in NAMES), *((name, 3) for name in (*NAMES[:2], *OF_BEAMS))]
)
@pytest.mark.parametrize("k", [1, 9, 64, 65, N])
def test_sizes_and_flops_are_those_of_the_ledger(name, beams, k):
    ledger = formula_ledger(CONFIG, [parse(name)], 5, 17, N, k, 4, beams)
    ledger = ledger[(ledger["strategy"] == name) & (ledger["kind"] != "copy") & (ledger["part"] != "encoder")]
    data = layer_letters(CONFIG, [parse(name)], beams)
    assert ("W" in data["meanings"]) == (beams > 1)
    mine = data["strategies"][0]
    room = mine["capacity"] or N
    read = next((size for size in mine["buckets"] if size >= k), room)
    numbers = {**data["sizes"], "B": 5, "S": 17, "N": N, "k": k, "C": room, "M": min(read, room)}
    assert len(mine["products"]) == len(ledger)
    for product in mine["products"]:
        row = ledger[ledger["role"] == product["role"]].iloc[0]
        size = {letter: evaluated(terms, numbers) for letter, terms in product["sizes"].items()}
        assert 2 * size["batch"] * size["rows"] * size["inner"] * size["cols"] == row["flops"]
        assert (size["inner"], size["cols"], product["count"]) == (row["inner"], row["cols"], row["count"])
        assert product["once"] == (row["when"] == "once a sentence")
        shape = "[{batch},{rows},{inner}]".format(**product["text"])
        assert row["shape"].startswith(shape)


def test_what_beams_copy_and_share_is_told():
    data = layer_letters(CONFIG, [parse(name) for name in ("full_recompute", *OF_BEAMS)], 3)
    assert data["sizes"]["W"] == 3
    assert [one["beams"] for one in data["strategies"]] == [
        {"reordered": False, "table": False, "gathered": False, "cross": "shared"},
        {"reordered": True, "table": False, "gathered": False, "cross": "expanded"},
        {"reordered": True, "table": False, "gathered": False, "cross": "expanded_once"},
        {"reordered": False, "table": True, "gathered": True, "cross": "shared"},
    ]
    (alone,) = layer_letters(CONFIG, [parse("static_kv(reorder=table)")])["strategies"]
    assert alone["beams"] is None


def test_what_is_kept_and_moved_is_told():
    found = {one["label"]: one for one in layer_letters(CONFIG, [parse(name) for name in NAMES])["strategies"]}
    assert list(found) == list(NAMES)
    at = {"k": 85}
    assert [evaluated(one["kept"], at) for one in found.values()] == [0, 0, 84, 84, 84, 84, 84, 84]
    assert [evaluated(one["moved"], at) for one in found.values()] == [0, 0, 84, 0, 0, 0, 0, 0]
    assert [one["reserved"] for one in found.values()] == ["0", "0", "k", "C", "C", "C", "C", "C"]
    assert [one["capacity"] for one in found.values()] == [None] * 5 + [99, None, 100]

    assert found[BUCKET]["buckets"] == [64, 128, 256, 512, 1024, 2048, 4096]
    assert found[NAMES[-1]]["buckets"] == [64, 100]
    assert [one["buckets"] for label, one in found.items() if "bucket" not in label] == [[]] * 6


@pytest.mark.parametrize(
    ("label", "capacity", "buckets"),
    [
        ("static_kv(capacity=1)", 1, []),
        ("static_kv(capacity=20)", 20, []),
        ("static_kv(capacity=64,read=bucket)", 64, []),
        ("static_kv(capacity=256,read=bucket)", 256, [64, 128, 256]),
        ("static_kv(capacity=5000,read=bucket)", 5000, [64, 128, 256, 512, 1024, 2048, 4096]),
    ],
)
def test_a_buffer_of_any_size_has_letters(label, capacity, buckets):
    (found,) = layer_letters(CONFIG, [parse(label)])["strategies"]
    assert (found["reserved"], found["capacity"], found["buckets"]) == ("C", capacity, buckets)


def test_a_compiled_strategy_has_the_letters_of_what_it_runs():
    both = [parse(BUCKET), parse("static_kv(execution=compiled,read=bucket)")]
    eager, compiled = layer_letters(CONFIG, both)["strategies"]
    assert compiled.pop("label") != eager.pop("label")
    assert compiled == eager


class Lazy(ContiguousKV):
    """Reorders all but a row, which no letter says."""

    def rows_reordered(self, k):
        return max(0, k - 1)


def test_a_strategy_without_letters_is_left_out():
    assert layer_letters(CONFIG, [Chunks()])["strategies"] == []
    assert layer_letters(CONFIG, [Lazy()], 2)["strategies"] == []
    assert len(layer_letters(CONFIG, [Lazy()])["strategies"]) == 1
