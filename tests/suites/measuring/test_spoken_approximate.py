"""Phoneme errors beside an approximate strategy: its own, and those of the exact ones on the same phrases."""

import dataclasses

import pytest

from strategies import load_model, parse
from strategies.models.pronounce import evaluate
from strategies.models.pronounce.evaluate import error_rates
from strategies.search.options import Beam
from suites.measuring import spoken
from suites.measuring.spoken import phoneme_error, phrase_words
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table

from .lossy import Rounded, Short, Window
from .one_cell import measure
from .test_quality import PRONOUNCE

WORDS = 40


@pytest.fixture(autouse=True)
def _few_words(monkeypatch):
    monkeypatch.setattr(spoken, "WORDS", WORDS)


def measured(strategies, folder, cell=PRONOUNCE):
    """(the cell as it was written, its table by strategy)."""
    measure(strategies, folder, cell)
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": cell.id}]})
    (done,) = read_cells(folder)
    return done, case_table([done]).set_index("strategy")


@pytest.mark.parametrize("other", [64, 10_000])
@pytest.mark.parametrize(("length", "least", "most"), [(1, 1, 1), (8, 1, 1), (64, 6, 9)])
def test_phrases_are_about_as_long_as_the_shorter_of_source_and_target(length, least, most, other):
    for sizes in ({"src_len": length, "tgt_len": other}, {"src_len": other, "tgt_len": length}):
        assert least <= phrase_words(dataclasses.replace(PRONOUNCE, **sizes)) <= most


def test_no_phrase_has_more_words_than_are_decoded():
    assert phrase_words(dataclasses.replace(PRONOUNCE, src_len=10_000, tgt_len=10_000)) == WORDS


def test_each_approximate_strategy_has_its_own_and_exact_ones_share_theirs(tmp_path):
    lossy = [Window(window=1), Rounded()]
    done, table = measured([parse("static_kv"), parse("cross_kv"), *lossy], tmp_path)
    words = phrase_words(PRONOUNCE)
    assert words > 1
    assert (done.cell["phoneme_error_words"], done.cell["phoneme_error_phrase"]) == (WORDS // words * words, words)
    model = load_model(PRONOUNCE.model)
    shared = error_rates(model, words, WORDS).per
    own = {kind.label: error_rates(model, words, WORDS, strategy=kind).per for kind in lossy}
    assert table["phoneme_error"].to_dict() == {"static_kv": shared, "cross_kv": shared, **own}
    assert set(own.values()) != {shared}
    assert set(table["phoneme_error_words"]) == {WORDS // words * words}


def test_a_phrase_that_is_too_long_for_a_strategy_is_a_remark_and_the_strategy_is_timed(tmp_path):
    cell = dataclasses.replace(PRONOUNCE, src_len=8, tgt_len=6)
    _, table = measured([parse("static_kv"), Short()], tmp_path, cell)
    assert table.loc["short_kv", "status"] == "ok"
    assert table.loc["short_kv", ["phoneme_error", "phoneme_error_words"]].isna().all()
    reason = table.loc["short_kv", "reason"]
    assert reason.startswith("its phoneme error is not known: short_kv holds 6 tokens, not ")
    assert table.loc["static_kv", "phoneme_error"] > 0


def test_cells_that_differ_in_batch_or_threads_alone_share_what_was_measured(monkeypatch):
    decoded = []

    def counted(model, words, *args, strategy=None, **options):
        decoded.append((words, strategy and strategy.label))
        return error_rates(model, words, *args, strategy=strategy, **options)

    monkeypatch.setattr(evaluate, "error_rates", counted)
    model, kinds = load_model(PRONOUNCE.model), (None, Rounded(), Rounded(levels=7))
    cells = [PRONOUNCE, dataclasses.replace(PRONOUNCE, batch_size=3), dataclasses.replace(PRONOUNCE, threads=2)]
    found = [[phoneme_error(cell, model, kind, 4) for kind in kinds] for cell in cells]
    assert found[0] == found[1] == found[2]
    assert decoded == [(4, kind and kind.label) for kind in kinds]
    for other in (dataclasses.replace(PRONOUNCE, search=Beam(2)), PRONOUNCE):
        phoneme_error(other, load_model(PRONOUNCE.model), Rounded(), 4)
    phoneme_error(PRONOUNCE, model, Rounded(), 5)
    assert len(decoded) == 6
