"""The recorder on a T5 that is not ours."""

import dataclasses

import pytest

from strategies import parse
from suites.ledger import foreign
from suites.ledger.comparison import OURS, comparison, differences
from suites.ledger.foreign import read_number, record_transformers
from suites.ledger.symbols import GROWING, SIZES
from suites.ledger.table import make_ledger
from suites.ledger.transformers_t5 import DYNAMIC, NO_CACHE, STATIC, Lengths, build
from suites.ledger.verify import LedgerError
from suites.settings.config import ConfigError

from .conftest import sources

pytest.importorskip("transformers")
AT = Lengths(batch=2, source=6, target=8, step=5, capacity=8)


@pytest.fixture(scope="module")
def config(tiny_model):
    """Deeper on the decoder's side; H*d differs from D."""
    return tiny_model("t5").config


@pytest.fixture(scope="module")
def theirs(config):
    return record_transformers(config, AT)


def tags(ledger, strategy: str) -> dict[str, tuple[str, str]]:
    mine = ledger[(ledger["strategy"] == strategy) & (ledger["k"].isna() | (ledger["k"] == AT.step))]
    return {row["role"]: (row["grows_with"], row["when"]) for _, row in mine.iterrows()}


@pytest.mark.parametrize(
    ("strategy", "scores", "query"), [(NO_CACHE, "k k", "k"), (DYNAMIC, "k", "-"), (STATIC, "C", "-")]
)
def test_their_self_attention_grows_as_ours_does(theirs, strategy, scores, query):
    found = tags(theirs, strategy)
    assert found["self.scores"] == found["self.context"] == (scores, "every step")
    assert found["self.q"] == found["cross.q"] == found["ffn.wo"] == (query, "every step")


def test_their_caches_project_the_source_in_the_first_step_alone(theirs):
    for strategy in (DYNAMIC, STATIC):
        assert tags(theirs, strategy)["cross.k"] == tags(theirs, strategy)["cross.v"] == ("S", "once a sentence")
    assert tags(theirs, NO_CACHE)["cross.k"] == ("S", "every step")


def test_comparison_says_what_is_the_same_and_what_is_not(config, theirs, tiny_model):
    ours = make_ledger(tiny_model("t5"), [parse(label) for label in OURS], [(sources(tiny_model("t5"), 2, 6), (5,))], 8)
    sheet = comparison(ours, theirs, 5, 6)
    cells = {row[0]: list(row[1:]) for row in sheet.rows}
    assert cells["self.scores"] == cells["cross.context"] == cells["ffn.wo"] == ["="] * 4
    assert cells["self.qkv"] == ["3 for 1"] * 4
    assert cells["cross.kv"] == cells["ffn.wi"] == ["2 for 1"] * 4
    # Without a cache they compute the logits of every row, we those of the last one.
    assert cells["lm_head"] == ["=", "5x", "=", "="]
    assert "lm_head (5x in use_cache=False)" in differences(sheet)


def test_a_model_of_2017_is_refused(tiny_model):
    with pytest.raises(ConfigError, match="give model=small"):
        build(tiny_model("transformer2017").config)


def test_numbers_are_read_as_letters():
    letters = {5: SIZES["B"], 7: SIZES["H"], 11: GROWING["k"]}
    assert read_number(3 * 5 * 11, letters) == 3 * SIZES["B"] * GROWING["k"]
    with pytest.raises(LedgerError, match="no product of its sizes"):
        read_number(13, letters)


def test_a_reading_that_does_not_hold_at_the_real_shape_is_an_error(config, monkeypatch):
    """Had the shadow's k another length than the letters say, the real model's numbers would not come out."""
    monkeypatch.setattr(foreign, "SHADOW", dataclasses.replace(foreign.SHADOW, step=foreign.SHADOW.source))
    with pytest.raises(LedgerError, match="the shadow"):
        record_transformers(config, AT)
