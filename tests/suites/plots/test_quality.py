"""The figure of quality: which cells it shows, what its title says, and which marks are numbered."""

import numpy as np
import pandas as pd
import pytest

from suites.plots.quality import figure, message, points, quickest, told
from suites.plots.views import views
from suites.reporting.charts.beams import charts

from .test_plots import CORE, MACHINE, tables

ERRORS = {1: 0.10, 2: 0.09, 4: 0.08, 8: 0.08}


def view_of(errors, **sizes):
    """The view of a sweep over the numbers of beams of ``errors``, phoneme errors; 0 is greedy search."""
    table, steps = tables(beams=tuple(errors), **sizes)
    known = {max(beams, 1): error for beams, error in errors.items()}
    (view,) = views(table.assign(phoneme_error=table["num_beams"].map(known)), steps, MACHINE)
    return view


def numbers_of(axes):
    return [text.get_text() for text in axes.texts if text.get_text().isdigit()]


def test_the_title_says_what_beams_buy_and_what_they_cost():
    view = view_of(ERRORS)
    rows = points(view)
    times = rows[rows["strategy"] == quickest(rows)].set_index("num_beams")["e2e_s"]
    title = figure(view).get_suptitle()
    assert title == (
        f"4 beams lower the phoneme error from 10 % to 8 %, at {times[4] / times[1]:.2f}x the time of "
        f"{quickest(rows)} with 1 beam; 8 beams bring no more"
    )
    assert message(rows[rows["num_beams"] <= 4]).endswith("with 1 beam")


def test_a_cost_of_disturbed_times_is_not_called_certain():
    rows = points(view_of(ERRORS))
    assert "certain" not in message(rows)
    for beams, doubted in ((1, True), (4, True), (8, False)):
        disturbed = rows.assign(disturbed_by=rows["num_beams"].map(lambda w, mine=beams: "load" if w == mine else ""))
        assert ("with 1 beam (not certain: disturbed)" in message(disturbed)) == doubted


def test_beams_that_buy_nothing_are_said_to_buy_nothing():
    title = figure(view_of({1: 0.1, 4: 0.12})).get_suptitle()
    assert title == "More than 1 beam bring no fewer phoneme errors: 10 % with 1, 12 % with 4"


def test_each_strategy_has_a_mark_for_each_number_of_beams_and_the_quickest_has_the_numbers():
    view = view_of(ERRORS)
    (axes,) = (axes for axes in figure(view).axes if axes.axison)
    assert numbers_of(axes) == ["1", "2", "4", "8"]
    marks = [line for line in axes.lines if len(line.get_xdata()) == 1]
    assert len(marks) == len(CORE) * len(ERRORS)
    rows = points(view)
    first = rows[rows["strategy"] == quickest(rows)]
    written = [text.xy for text in axes.texts if text.get_text().isdigit()]
    assert np.allclose(written, first[["ms", "percent"]])
    assert first["ms"].tolist() == (1e3 * first["e2e_s"] / first["batch_size"]).tolist()


def test_only_the_largest_batch_is_shown():
    view = view_of(ERRORS, batches=(1, 8))
    assert set(points(view)["batch_size"]) == {8}
    assert "batch 8." in figure(view).get_supxlabel()


def test_a_strategy_that_lacks_a_number_of_beams_is_not_the_one_that_is_numbered():
    table, steps = tables(beams=(1, 2), strategies=CORE[2:])
    table = table.assign(phoneme_error=0.1 / table["num_beams"], e2e_s=1.0)
    table.loc[table["strategy"] == CORE[3], "e2e_s"] = 0.5
    (whole,) = views(table, steps, MACHINE)
    assert quickest(points(whole)) == CORE[3]
    (partial,) = views(table[(table["strategy"] != CORE[3]) | (table["num_beams"] == 2)], steps, MACHINE)
    assert quickest(points(partial)) == CORE[2]
    (axes,) = (axes for axes in figure(partial).axes if axes.axison)
    assert numbers_of(axes) == ["1", "2"]


@pytest.mark.parametrize("errors", [{4: 0.1}, {1: np.nan, 4: np.nan}, {1: np.nan, 4: 0.1}])
def test_without_two_known_numbers_of_beams_there_is_no_figure(errors):
    assert figure(view_of(errors)) is None


def test_tables_of_earlier_versions_have_no_such_figure():
    table, steps = tables()
    (view,) = views(pd.DataFrame(table).drop(columns=["search", "num_beams"]), steps, MACHINE)
    assert figure(view) is None


def test_the_page_says_the_error_of_each_number_of_beams_and_what_they_buy():
    view = view_of({1: 0.10225, 4: 0.09})
    assert told(view) == (
        "Phoneme error on held-out words: 10.22 % with 1 beam and 9.00 % with 4 beams. " + message(points(view)) + "."
    )
    assert told(view_of({4: 0.09})) == "Phoneme error on held-out words: 9.00 % with 4 beams."
    assert told(view_of({0: 0.1})) == "Phoneme error on held-out words: 10.00 %."
    assert told(view_of({4: np.nan})) == ""


def test_approximate_strategies_alone_have_no_error_in_common_and_so_no_figure():
    table, steps = tables(beams=(1, 4))
    errors = 0.1 / table["num_beams"] + 0.01 * table["strategy"].map({name: at for at, name in enumerate(CORE)})
    table = table.assign(phoneme_error=errors)
    (view,) = views(table.assign(exact=0.0), steps, MACHINE)
    assert figure(view) is None
    assert charts(view) == []
    assert told(view) == ""
    (view,) = views(table.assign(exact=(table["num_beams"] == 1).astype(float)), steps, MACHINE)
    assert figure(view) is None
