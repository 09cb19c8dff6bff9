"""The ledger of a beam search: W in letters and numbers, and what is copied as beams are reordered."""

import dataclasses

import pandas as pd
import pytest

from strategies import ModelSpec, parse
from strategies.contiguous_kv import ContiguousKV
from strategies.search.options import Beam
from strategies.static_kv import StaticKV
from suites.ledger import verify
from suites.ledger.beside import beside, headline, note, table
from suites.ledger.column import columns, legend
from suites.ledger.copies import BEAM_ROLES
from suites.ledger.formula import formula_ledger
from suites.ledger.of_cell import load, record_cell
from suites.ledger.sizes import values
from suites.ledger.table import make_ledger, read_ledger, write_ledger
from suites.ledger.text import sheets
from suites.ledger.verify import LedgerError, check_shadow, in_numbers
from suites.ledger.view import answer
from suites.settings.cells import Cell
from suites.work.formulas import formulas

from ...conftest import ARCHITECTURES, SHAPE
from .conftest import SIZES, sources

BEAMS = 3
LABELS = (
    "full_recompute",
    "cross_kv(cross_beams=expanded)",
    "contiguous_kv",
    "contiguous_kv(cross=recompute,cross_beams=expanded)",
    "static_kv(cross_beams=expanded)",
    "static_kv(cross_beams=expanded_once)",
    "static_kv(reorder=table)",
    "static_kv(capacity=9,read=buffer,reorder=table)",
    "static_kv(read=bucket,reorder=table)",
)
TABLE, BUFFER = "static_kv(reorder=table)", "static_kv(capacity=9,read=buffer,reorder=table)"


@pytest.fixture(scope="module")
def beam_ledger(tiny_model) -> pd.DataFrame:
    """k = 1, 5, 8 of 2 sentences of 3 beams; T5, gated."""
    model = tiny_model("t5")
    case = sources(model, SIZES["B"], SIZES["S"]), (1, 5, 8)
    return make_ledger(model, [parse(label) for label in LABELS], [case], SIZES["N"], beams=BEAMS)


def tiny(architecture: str = "t5") -> ModelSpec:
    return ModelSpec("tiny", "random", shape=tuple(sorted({**SHAPE, **ARCHITECTURES[architecture]}.items())))


def rows(ledger: pd.DataFrame, strategy: str, role: str, k: int | None = 5) -> list[dict]:
    at = ledger["k"].isna() if k is None else ledger["k"] == k
    return ledger[(ledger["strategy"] == strategy) & (ledger["role"] == role) & at].to_dict("records")


# B 2, W 3, S 6, D 14, H 3, d 5; two decoder layers. (strategy, role) -> shape in letters, in numbers, bytes written.
BY_HAND = {
    ("contiguous_kv", "self.qkv"): ("[BW,1,D] x [D,3Hd]", "[6,1,14] x [14,45]", 4 * 6 * 45),
    ("contiguous_kv", "self.scores"): ("[BWH,1,d] x [BWH,d,k]", "[18,1,5] x [18,5,5]", 0),
    ("contiguous_kv", "cross.scores"): ("[BH,W,d] x [BH,d,S]", "[6,3,5] x [6,5,6]", 0),
    ("contiguous_kv", "lm_head"): ("[BW,1,D] x [D,V]", "[6,1,14] x [14,29]", 4 * 6 * 29),
    ("contiguous_kv", "self.append"): ("2 x [BWH,1,d] + 2 x [BWH,k-1,d]", "2 x [18,5,5]", 4 * 2 * 18 * 5 * 5),
    ("contiguous_kv", "self.select"): ("2 x [BWH,k-1,d]", "2 x [18,4,5]", 4 * 2 * 18 * 4 * 5),
    ("full_recompute", "cross.context"): ("[BH,Wk,S] x [BH,S,d]", "[6,15,6] x [6,6,5]", 4 * 6 * 15 * 5),
    ("full_recompute", "cross.kv"): ("[B,S,D] x [D,2Hd]", "[2,6,14] x [14,30]", 4 * 12 * 30),
    ("cross_kv(cross_beams=expanded)", "cross.context"): (
        "[BWH,k,S] x [BWH,S,d]", "[18,5,6] x [18,6,5]", 4 * 18 * 5 * 5,
    ),
    ("cross_kv(cross_beams=expanded)", "cross.select"): ("2 x [BWH,S,d]", "2 x [18,6,5]", 4 * 2 * 18 * 6 * 5),
    (LABELS[3], "cross.kv"): ("[BW,S,D] x [D,2Hd]", "[6,6,14] x [14,30]", 4 * 36 * 30),
    (LABELS[3], "cross.select"): ("[BW,S,D]", "[6,6,14]", 4 * 6 * 6 * 14),
    (LABELS[5], "cross.scores"): ("[BWH,1,d] x [BWH,d,S]", "[18,1,5] x [18,5,6]", 0),
    (TABLE, "self.append"): ("2 x [BWH,1,d]", "2 x [18,1,5]", 4 * 2 * 18 * 5),
    (TABLE, "self.gather"): ("2 x [BWH,k,d]", "2 x [18,5,5]", 4 * 2 * 18 * 5 * 5),
    (TABLE, "self.select"): ("2 x [BW,k-1]", "2 x [6,4]", 8 * 2 * 6 * 4),
    (BUFFER, "self.gather"): ("2 x [BWH,C,d]", "2 x [18,9,5]", 4 * 2 * 18 * 9 * 5),
    (LABELS[8], "self.gather"): ("2 x [BWH,M,d]", "2 x [18,8,5]", 4 * 2 * 18 * 8 * 5),
}  # fmt: skip


@pytest.mark.parametrize("key", BY_HAND, ids="-".join)
def test_rows_equal_those_worked_out_by_hand(beam_ledger, key):
    (row,) = rows(beam_ledger, *key)
    assert (row["shape"], row["shape_numbers"], row["output_bytes"]) == BY_HAND[key]


def test_the_encoder_and_what_is_projected_once_have_a_row_per_sentence(beam_ledger):
    for role in ("encoder.self.qkv", "encoder.ffn.wo", "cross.kv"):
        for label in ("contiguous_kv", LABELS[4], LABELS[5]):
            (row,) = rows(beam_ledger, label, role, None)
            assert row["shape"].startswith("[B,S,")


def test_nothing_is_reordered_before_the_first_step_and_nothing_that_beams_share_ever(beam_ledger):
    first = beam_ledger[beam_ledger["k"] == 1]
    assert not set(first["role"]) & {"self.select", "cross.select"}
    assert set(first.loc[first["role"] == "self.gather", "strategy"]) == set(LABELS[6:])
    reordered = beam_ledger[beam_ledger["role"] == "cross.select"]
    assert set(reordered["strategy"]) == {label for label in LABELS if "cross_beams=expanded)" in label}
    assert not rows(beam_ledger, "full_recompute", "self.select")


@pytest.mark.parametrize("label", LABELS)
def test_flops_and_copied_bytes_sum_to_those_of_a_run(beam_ledger, tiny_model, label):
    cell = Cell(tiny(), SIZES["S"], SIZES["N"], SIZES["B"], "cpu", "fp32", 1, 0, "fixed", search=Beam(BEAMS))
    run = formulas(tiny_model("t5").config, cell, parse(label))
    mine = beam_ledger[beam_ledger["strategy"] == label]
    work = (mine["flops"] * mine["count"]).groupby(mine["k"].fillna(0)).sum()
    assert work[0] == run.prefill_flops
    assert {k: work[k] for k in (1, 5, 8)} == {k: run.step_flops[k - 1] for k in (1, 5, 8)}
    copies = mine[mine["kind"] == "copy"]
    moved = (2 * copies["input_bytes"] * copies["count"]).groupby(copies["k"]).sum()
    assert {k: moved[k] for k in (1, 5, 8)} == {k: run.copy_bytes[k - 1] for k in (1, 5, 8)}


def test_every_registered_strategy_has_a_ledger_of_beams(beam_strategy, tiny_model):
    """With all its options; a new file is checked without a new test."""
    check_shadow(tiny_model("transformer2017").config, [beam_strategy], beams=2)


@pytest.mark.parametrize("architecture", ["t5 grouped-query", "transformer2017"])
def test_formula_and_record_are_the_same_ledger(architecture):
    """Of both families, one of them with shared heads; ``test_formula.py`` has all four, without beams."""
    cell = Cell(tiny(architecture), 9, 6, 2, "cpu", "fp32", 1, 0, "fixed", search=Beam(BEAMS))
    strategies = [parse(label) for label in LABELS]
    recorded = record_cell(cell, strategies, k=2)
    recorded = recorded[(recorded["src_len"] == 9) & (recorded["k"].isna() | (recorded["k"] == 2))]
    formula = formula_ledger(load(cell).config, strategies, 2, 9, 6, k=2, width=4, beams=BEAMS)
    order = ["strategy", "phase", "role", "kind"]
    pd.testing.assert_frame_equal(
        formula.sort_values(order).reset_index(drop=True), recorded.sort_values(order).reset_index(drop=True)
    )


@pytest.mark.parametrize("label", [*LABELS, "static_kv(capacity=59)", "static_kv(capacity=17,read=buffer)"])
def test_no_two_letters_of_the_shadow_have_the_same_number(tiny_model, architecture, label):
    shadow, bound, steps = verify._bind(parse(label))
    config, known = shadow.config(tiny_model(architecture).config), verify.facts(bound, steps, shadow.source, 2)
    step = min(shadow.step, steps - (steps == known.capacity))
    sizes = values(config, shadow.beams, B=shadow.batch, S=shadow.source, N=shadow.target)
    numbers = sizes | verify.expected.numbers(bound, step, shadow.source, 1, 2)
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


@dataclasses.dataclass(frozen=True)
class Still(ContiguousKV):
    """Reorders all rows and says that it reorders none."""

    def rows_reordered(self, k: int) -> int:
        return 0


@dataclasses.dataclass(frozen=True)
class Sly(StaticKV):
    """Gathers through a table and says that a kernel reads through it."""

    def rows_gathered(self, k: int) -> int:
        return 0


@dataclasses.dataclass(frozen=True)
class Careless(StaticKV):
    """Counts the entries of its table once, and copies them twice."""

    def entries_reordered(self, k: int) -> int:
        return k


@pytest.mark.parametrize(
    ("strategy", "told"),
    [
        (Still(), r"self\.select in step 11 of .*: the facts say 0 bytes reordered .* mend rows_reordered"),
        (Sly(reorder="table"), r"self\.append in step 11 of .*: the facts say 0 bytes moved .*rows_gathered"),
        (Careless(reorder="table"), r"self\.select in step 11 of .*: the facts say \d+ bytes reordered"),
    ],
)
def test_copies_that_were_not_declared_are_an_error(tiny_model, strategy, told):
    check_shadow(tiny_model("t5").config, [strategy])
    with pytest.raises(LedgerError, match=told):
        check_shadow(tiny_model("t5").config, [strategy], beams=2)


def test_what_was_written_is_read_back(beam_ledger, tmp_path):
    write_ledger(beam_ledger, tmp_path)
    pd.testing.assert_frame_equal(read_ledger(tmp_path), beam_ledger, check_dtype=False)


def test_the_legend_has_the_beams(beam_ledger):
    for label in LABELS:
        mine = beam_ledger[beam_ledger["strategy"].isin(["training", label])]
        assert legend(mine).startswith("B batch 2, W beams 3, H heads 3, d head size 5, D model width 14")


def test_strategies_that_copy_other_things_for_beams_have_columns_of_their_own(beam_ledger):
    at = beam_ledger[beam_ledger["k"].isna() | (beam_ledger["k"] == 5)]
    found = {labels: column for column in columns(at) for labels in column.labels}
    assert found["static_kv(cross_beams=expanded)"] != found["static_kv(cross_beams=expanded_once)"]
    assert found[TABLE].copies == ["self.gather", "self.select"]
    assert len(found[TABLE].step) == 11
    assert "see one new row of each beam" in answer([found["contiguous_kv"]])


def test_copies_stand_among_the_products_and_are_told_apart(beam_ledger):
    pair = beside(beam_ledger[beam_ledger["strategy"].isin(["full_recompute", TABLE])], 5, 6)
    assert headline(pair).startswith(f"With {TABLE}, 2 of the 11 products of a step grow with k")
    first = {row[0]: row[1:] for row in table(pair, 5).rows}
    assert list(first)[:4] == ["self.select", "self.qkv", "self.gather", "self.scores"]
    assert first["self.select"] == ["2 x [BW,k-1]", "2 x [6,4]", "", ""]
    told = "self.select: copied before the step as beams are reordered; [BW,k-1]: entries of a table that says where"
    assert note(pair).startswith(told)
    assert "self.gather: copied to be read" in note(pair)
    assert "table" not in note(beside(beam_ledger[beam_ledger["strategy"] == "contiguous_kv"], 5, 6))


def test_the_wide_sheets_say_what_is_copied(beam_ledger):
    growth, products, totals = sheets(beam_ledger, 5, 6)
    roles = [row[0] for row in growth.rows]
    assert set(BEAM_ROLES) < set(roles)
    (first, *_) = [row for row in products.rows if row[0].strip() == "cross.select"]
    assert first[1:3] == ["copy", "2 x [BWH,S,d]"]
    moved = {row[0]: row[-1] for row in totals.rows}
    assert moved["static_kv(cross_beams=expanded_once)"] != moved["static_kv(cross_beams=expanded)"]
    assert totals.note.endswith("by concatenation, and what beams copy.")
