"""Which cells were disturbed: exactly those of which a warning tells, and at least one where the machine drifted."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from suites.judging.disturbed import BRIEFLY, DRIFT, UNTIMED, disturbances, kind_of
from suites.judging.noise import drift, told

from .test_noise import QUIET, SPOILED, cell


@pytest.mark.parametrize("kind", SPOILED)
def test_a_cell_is_named_with_the_kind_of_its_noise_and_a_clean_one_is_not(kind):
    spoiled, clean = disturbances([SPOILED[kind][0], cell(name="b")])
    assert spoiled == ([] if kind in UNTIMED else [kind.removesuffix(" by short rounds")])
    assert clean == []


def test_only_the_cell_in_which_the_machine_was_slower_is_named():
    cells = [cell(name="a"), cell(name="b", speed=0.8), cell(name="c")]
    assert disturbances(cells) == [[], [DRIFT], []]
    loaded = replace(cells[1], conditions=replace(QUIET, busy_cpu_s=22.0))
    assert disturbances([cells[0], loaded, cells[2]]) == [[], ["other load", DRIFT], []]


@pytest.mark.parametrize("kind", [*SPOILED, DRIFT])
def test_the_kind_of_a_line_is_read_off_it_and_has_words_without_figures(kind):
    cells = [cell(name="a"), cell(name="b", speed=0.8)] if kind == DRIFT else [SPOILED[kind][0]]
    for told_of in (cells, [*cells, cell(name="c")]):
        for line in told(told_of):
            assert kind_of(line) == kind.removesuffix(" by short rounds")
            assert kind_of(line) in BRIEFLY.keys() | UNTIMED
    assert kind_of("something that a later version warns of: wait") == ""


@given(st.lists(st.floats(0.5, 2.0), min_size=1, max_size=6))
def test_a_drift_is_told_exactly_where_a_cell_is_named(speeds):
    cells = [cell(name=str(number), speed=speed) for number, speed in enumerate(speeds)]
    assert any(disturbances(cells)) == bool(drift(cells))
