"""One strategy beside its baseline, at every width of a terminal."""

import re

import pytest
from rich.text import Text

from strategies import ModelConfig, parse
from suites.ledger.beside import Beside, beside, headline, pieces, table
from suites.ledger.beside_printed import STYLES, lines
from suites.ledger.formula import formula_ledger

BIG = ModelConfig(
    vocab_size=32128, d_model=1024, num_heads=32, d_kv=128, d_ff=16384, encoder_layers=2, decoder_layers=2
)
SMALL = ModelConfig(vocab_size=100, d_model=192, num_heads=4, d_kv=48, d_ff=768, encoder_layers=2, decoder_layers=2)
SHAPE = re.compile(r"\[[^\[\]]*\]")


def found(config: ModelConfig, *labels: str, beams: int = 1) -> Beside:
    ledger = formula_ledger(config, [parse(label) for label in labels], 1, 40, 64, 21, 4, beams=beams)
    pair = beside(ledger, 21, 40)
    assert pair is not None
    return pair


def printed(pair: Beside, width: int) -> list[Text]:
    sheet = table(pair, 21)
    return lines(sheet.header, sheet.rows, width)


@pytest.mark.parametrize("width", [200, 120, 100, 80, 70, 60, 40])
@pytest.mark.parametrize("config", [SMALL, BIG])
def test_no_shape_is_broken_inside_its_brackets(config, width):
    pair = found(config, "full_recompute", "static_kv(read=buffer)")
    shapes = {row["shape_numbers"] for row in pair.shown.products.values() if not row["role"].startswith("encoder.")}
    text = "\n".join(map(str, printed(pair, width)))
    told = SHAPE.findall(text)
    assert {factor for shape in shapes for factor in SHAPE.findall(shape)} <= set(told)
    assert all(line.count("[") == line.count("]") for line in text.splitlines())


@pytest.mark.parametrize("width", [200, 80, 40])
def test_entries_of_a_table_that_are_copied_stay_in_one_piece(width):
    text = "\n".join(map(str, printed(found(SMALL, "contiguous_kv", "paged_kv", beams=3), width)))
    assert "[BW,some]" in text


@pytest.mark.parametrize("width", [120, 80, 60, 50])
def test_lines_are_no_wider_than_the_terminal(width):
    assert max(map(len, printed(found(SMALL, "full_recompute", "static_kv"), width))) <= width


def test_a_row_is_one_line_at_80_columns():
    pair = found(SMALL, "full_recompute", "static_kv")
    assert len(printed(pair, 80)) == 1 + 12 + 1
    assert "numbers at k = 21" in str(printed(pair, 120)[0]).partition("full_recompute")[2]


def test_strategies_with_equal_products_share_a_column_and_break_no_row():
    first, second, *rows = printed(found(SMALL, "full_recompute", "contiguous_kv", "static_kv"), 80)
    assert str(first).split()[:3] == ["product", "contiguous_kv", "numbers"]
    assert str(second).split() == ["=", "static_kv"]
    assert len(rows) == 12 + 1


def test_what_grows_is_in_color_in_letters_and_in_numbers():
    (row,) = [line for line in printed(found(SMALL, "static_kv"), 80) if str(line).startswith("self.scores")]
    colored = {str(row)[span.start : span.end]: str(span.style) for span in row.spans if span.style}
    assert colored == {"k": STYLES["step"], "21": STYLES["step"]}
    (row,) = [line for line in printed(found(SMALL, "static_kv"), 80) if str(line).startswith("cross.scores")]
    assert {str(row)[span.start : span.end] for span in row.spans if span.style == STYLES["sentence"]} == {"S", "40"}


def test_heads_that_share_k_and_v_are_in_color_too():
    (k,) = [text for text, kind in pieces("[2,6,3] x [2,3,8]", "[BG,Hk/G,k] x [BG,k,d]") if kind == "step"][:1]
    assert k == "6"


@pytest.mark.parametrize(
    ("labels", "told"),
    [
        (["static_kv"], "With static_kv, 2 of the 11 products of a step grow with k"),
        (["static_kv(read=buffer)"], "none of the 11 products of a step grows with k: the whole buffer is read"),
        (["full_recompute"], "With full_recompute, 10 of the 12 products of a step grow with k, the keys attended."),
        (["cross_kv", "full_recompute"], "With cross_kv, 10 of the 11 products"),
        (["full_recompute", "contiguous_kv", "static_kv"], "With contiguous_kv and static_kv, 2 of the 11"),
    ],
)
def test_the_headline_says_what_grows(labels, told):
    assert told in headline(found(SMALL, *labels))


def test_strategies_of_three_kinds_do_not_fit():
    strategies = [parse(label) for label in ("full_recompute", "cross_kv", "static_kv")]
    assert beside(formula_ledger(SMALL, strategies, 1, 40, 64, 21, 4), 21, 40) is None
