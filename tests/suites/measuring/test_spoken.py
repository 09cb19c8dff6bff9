"""The phoneme error by the search of a cell: measured for beam search of the embedded model alone, and written down."""

import pytest

from strategies import ModelSpec, load_model, parse
from strategies.models.pronounce.evaluate import error_rates
from strategies.search.options import Beam, Greedy, Sample
from suites.measuring import spoken
from suites.measuring.spoken import is_spoken, phoneme_error
from suites.settings.cells import Cell
from suites.store.cell_folder import read_cells
from suites.store.files import write_json
from suites.store.schema import SCHEMA
from suites.tables.case_table import case_table

from .one_cell import CELL, measure

PRONOUNCE = ModelSpec("pronounce", "pronounce")


def cell_of(search, model=PRONOUNCE):
    return Cell(model, 4, 3, 1, "cpu", "fp32", 1, 0, "fixed", search=search)


def measured(strategies, folder, cell):
    """The cell as it was written, after its strategies were measured."""
    measure([parse(label) for label in strategies], folder, cell)
    write_json(folder / "run.json", {"schema": SCHEMA, "plan": [{"id": cell.id}]})
    (done,) = read_cells(folder)
    return done


def test_only_beam_search_of_the_embedded_model_is_spoken():
    assert is_spoken(cell_of(Beam(1)))
    assert is_spoken(cell_of(Beam(4)))
    assert not any(is_spoken(cell_of(search)) for search in (Greedy(), Sample()))
    assert not is_spoken(cell_of(Beam(4), CELL.model))


def test_it_is_the_error_rate_by_the_search_of_the_cell(monkeypatch):
    monkeypatch.setattr(spoken, "WORDS", 60)
    model = load_model(PRONOUNCE)
    found = phoneme_error(cell_of(Beam(3, length_penalty=-2.0)), model)
    wanted = error_rates(model, 1, 60, search=Beam(3, length_penalty=-2.0)).per
    assert found == {"phoneme_error": wanted, "phoneme_error_words": 60}
    assert wanted != error_rates(model, 1, 60, search=Beam(3)).per


def test_a_failure_is_a_reason_and_the_cell_goes_on(monkeypatch, tmp_path):
    monkeypatch.setattr(spoken, "WORDS", 0)  # no phrase can be made of no words
    done = measured(["static_kv"], tmp_path, cell_of(Beam(2)))
    assert [arm.status for arm in done.arms] == ["ok"]
    assert done.cell["phoneme_error_reason"].startswith("cannot make a phrase of 1 words out of 0 held-out words")


@pytest.mark.parametrize("search", [Beam(2), Greedy()])
def test_a_cell_and_its_table_hold_it_for_beam_search_alone(search, monkeypatch, tmp_path):
    monkeypatch.setattr(spoken, "WORDS", 20)
    done = measured(["static_kv", "contiguous_kv"], tmp_path, cell_of(search))
    kept, table = done.cell, case_table([done])
    if search.kind == "greedy":
        assert not any(key.startswith("phoneme_error") for key in kept)
        assert table["phoneme_error"].isna().all()
    else:
        assert kept["phoneme_error_words"] == 20
        assert table["phoneme_error"].tolist() == [kept["phoneme_error"]] * 2


@pytest.mark.parametrize(("label", "share"), [("static_kv", 1), ("static_kv(cross_beams=expanded)", 2)])
def test_the_cross_attention_that_beams_share_is_kept_once(label, share, tmp_path):
    """2 * B * S * H*K * L numbers of 4 bytes, for each beam where they are expanded; full recompute keeps none."""
    cell = Cell(CELL.model, 5, 6, 2, "cpu", "fp32", 1, 0, "fixed", search=Beam(2))
    table = case_table([measured(["full_recompute", label], tmp_path, cell)]).set_index("strategy")
    kept = dict(CELL.model.shape)
    once = 2 * cell.batch_size * cell.src_len * kept["num_heads"] * kept["d_kv"] * kept["decoder_layers"] * 4
    assert table.loc[label, "kv_cross_bytes"] == share * once
    assert table.loc["full_recompute", "kv_cross_bytes"] == 0
