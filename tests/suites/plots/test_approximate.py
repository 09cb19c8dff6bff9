"""The figures of approximate strategies: what each loses against what it takes, and against length."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context
from matplotlib.text import Text

from suites.plots import approximate, loss
from suites.plots.costs import costs, message
from suites.plots.lost_quality import measure_of
from suites.plots.style import RC
from suites.plots.views import views

from .lossy import ERROR, EXACT, LOSSY, Q4, Q8, SHARE, SLIDING, TIME, lossy
from .test_plots import CORE, MACHINE, SCENES

LENGTHS = tuple((length, length) for length in (32, 64, 128, 256))


def view_of(table, steps):
    (view,) = views(table, steps, MACHINE)
    return view


def panels_of(drawn):
    return [axes for axes in drawn.axes if axes.axison]


def marks(axes):
    """(colour, x, y) of each mark."""
    lines = [line for line in axes.lines if line.get_linestyle() == "None"]
    return {(line.get_color(), round(line.get_xdata()[0], 6), round(line.get_ydata()[0], 6)) for line in lines}


def test_each_strategy_has_a_mark_at_its_loss_and_its_costs():
    view = view_of(*lossy())
    time, held = panels_of(approximate.figure(view))
    color = {name: view.looks[name].color for name in view.strategies}
    error = dict.fromkeys(EXACT, 8.98) | {name: round(100 * ERROR[name], 6) for name in LOSSY}
    assert marks(time) == {(color[name], TIME.get(name, (1.0,))[0], error[name]) for name in color}
    bytes_of = {"full_recompute": 0.0, "static_kv": 1.0} | SHARE
    assert marks(held) == {(color[name], bytes_of[name], error[name]) for name in color}
    assert time.get_ylabel() == "phoneme error (%)"
    assert time.get_xlabel() == "time (static_kv = 1)"
    assert held.get_xlabel() == "K/V reserved per sentence (MiB)"
    assert time.get_ylim() == held.get_ylim()


def test_the_title_says_of_each_what_it_holds_at_what_loss_and_how_fast_it_is():
    view = view_of(*lossy())
    told = (
        f"{Q8} holds 27 % of the K/V bytes of static_kv at 8.98 % phoneme error (exact: 8.98 %), 1.3x slower; "
        f"{Q4} 14 % at 9.12 %; {SLIDING} 62 % at 31 %, 1.2x faster"
    )
    assert message(view, costs(view)) == told
    assert approximate.figure(view).get_suptitle().replace("\N{NO-BREAK SPACE}", " ") == told


def test_the_exact_quality_is_a_line_with_its_figure():
    for axes in panels_of(approximate.figure(view_of(*lossy()))):
        (line,) = (line for line in axes.lines if line.get_linestyle() == "--" and len(set(line.get_ydata())) == 1)
        assert line.get_ydata()[0] == pytest.approx(8.98)
    (told,) = (text for text in axes.texts if text.get_text().startswith("exact"))
    assert told.get_text() == "exact:\n8.98 %"


@pytest.mark.parametrize(("measure", "label"), [("token_error", "token error"), ("top1_equal", "other top-1 choices")])
def test_without_phoneme_errors_the_next_best_measure_is_drawn_of_which_exact_strategies_lose_nothing(measure, label):
    view = view_of(*lossy(measure=measure))
    assert measure_of(view).column == measure
    time, _ = panels_of(approximate.figure(view))
    assert time.get_ylabel() == f"{label} (%)"
    assert {y for color, _, y in marks(time) if color == view.looks["static_kv"].color} == {0.0}
    assert {y for color, _, y in marks(time) if color == view.looks[SLIDING].color} == {22.02}
    assert f"at 0 % {label} (exact: 0 %)" in message(view, costs(view))


def test_intervals_of_times_are_whiskers():
    view = view_of(*lossy())
    time, _ = panels_of(approximate.figure(view))
    (whisker,) = (
        line.get_xdata()
        for line in time.lines
        if line.get_color() == view.looks[SLIDING].color and len(line.get_xdata()) == 2
    )
    assert list(whisker) == pytest.approx([0.72, 0.88])


def test_marks_of_a_disturbed_cell_are_hollow():
    table, steps = lossy()
    drawn = approximate.figure(view_of(table.assign(disturbed_by="other load"), steps))
    found = [line for axes in panels_of(drawn) for line in axes.lines if line.get_linestyle() == "None"]
    assert {line.get_markerfacecolor() for line in found} == {"white"}
    assert "Hollow marks: other load may have spoiled these times." in drawn.get_supxlabel()


def test_only_the_largest_cell_is_drawn():
    view = view_of(*lossy(LENGTHS, batches=(1, 4)))
    found = costs(view)
    assert set(found.rows["tgt_len"]) == {256}
    assert set(found.rows["batch_size"]) == {4}
    assert "Source 256, target 256 tokens, batch 4." in approximate.figure(view).get_supxlabel()


def test_k_v_are_compared_with_an_exact_strategy_that_has_some():
    table, steps = lossy()
    view = view_of(table.assign(best_strategy="full_recompute", best_verdict="faster"), steps)
    told = message(view, costs(view))
    assert told.startswith(f"{Q8} holds 27 % of the K/V bytes of static_kv at 8.98 % phoneme error (exact: 8.98 %), ")
    assert "1.3x slower than full_recompute; " in told
    assert told.endswith("1.2x faster")


def test_without_an_exact_strategy_bytes_are_told_as_they_are_and_no_line_is_drawn():
    table, steps = lossy(strategies=LOSSY)
    view = view_of(table.assign(baseline=Q8), steps)
    drawn = approximate.figure(view)
    assert drawn.get_suptitle().replace("\N{NO-BREAK SPACE}", " ").startswith(f"{Q8} holds 276 KiB of K/V at 8.98 %")
    assert "exact" not in drawn.get_suptitle() + drawn.get_supxlabel()
    time, _ = panels_of(drawn)
    assert time.get_xlabel() == f"time ({Q8} (approximate) = 1)"


def test_more_strategies_than_a_title_holds_are_counted():
    table, steps = lossy()
    more = [table.assign(strategy=table["strategy"] + f"{i}") for i in range(2)]
    every = pd.concat([table, *(one[one["exact"] == 0] for one in more)], ignore_index=True)
    told = message(view_of(every, steps), costs(view_of(every, steps)))
    assert told.count(" at ") == 4
    assert told.endswith("; 5 more are drawn")


def test_names_lie_upon_no_other_name_and_inside_the_axes():
    drawn = approximate.figure(view_of(*lossy(strategies=(*CORE, *LOSSY))))
    with rc_context(RC):
        drawn.draw_without_rendering()
    for axes in panels_of(drawn):
        names = [text for text in axes.texts if not text.get_text().startswith("exact")]
        boxes = [Text.get_window_extent(text).expanded(0.95, 0.85) for text in names]
        assert len(boxes) == len(CORE) + len(LOSSY)
        frame = axes.get_window_extent().expanded(1.04, 1.0)
        assert all(frame.contains(*corner) for box in boxes for corner in (box.min, box.max))
        assert not any(one.overlaps(other) for i, one in enumerate(boxes) for other in boxes[:i])


@pytest.mark.parametrize("scene", SCENES)
def test_a_run_without_approximate_strategies_has_neither_figure(scene):
    for view in views(*SCENES[scene], MACHINE):
        assert approximate.figure(view) is None
        assert loss.figure(view) is None


def test_an_approximate_strategy_of_unknown_quality_is_not_drawn():
    table, steps = lossy()
    unknown = table.assign(phoneme_error=np.nan)
    assert approximate.figure(view_of(unknown, steps)) is None
    partly = table.assign(phoneme_error=table["phoneme_error"].mask(table["strategy"] == Q8))
    assert set(costs(view_of(partly, steps)).approximate["strategy"]) == {Q4, SLIDING}


def test_the_loss_is_drawn_along_the_length_beside_that_of_exact_strategies():
    view = view_of(*lossy(LENGTHS))
    drawn = loss.figure(view)
    (axes,) = (axes for axes in panels_of(drawn) if axes.get_ylabel())
    lines = {line.get_color(): line for line in axes.lines}
    sliding = lines[view.looks[SLIDING].color]
    assert list(sliding.get_xdata()) == [32, 64, 128, 256]
    assert list(sliding.get_ydata()) == pytest.approx([8.98 + 22.02 / 8, 8.98 + 22.02 / 4, 8.98 + 22.02 / 2, 31.0])
    assert list(lines["#555555"].get_ydata()) == pytest.approx([8.98] * 4)
    assert axes.get_xlabel() == "source = target length (tokens)"
    assert drawn.get_suptitle() == (
        f"More than 0.5 points of phoneme error are first lost by {SLIDING} at 32 tokens; {Q8} and {Q4} lose "
        "no more up to 256 tokens"
    )


def test_where_nothing_is_lost_the_title_says_so():
    title = loss.figure(view_of(*lossy(LENGTHS, (*EXACT, Q8)))).get_suptitle()
    assert title == "Up to 256 tokens no approximate strategy loses more than 0.5 points of phoneme error"


def test_the_loss_of_one_length_or_along_batches_is_no_figure():
    assert loss.figure(view_of(*lossy())) is None
    assert loss.figure(view_of(*lossy(batches=(1, 4)))) is None
    (axes,) = (axes for axes in panels_of(loss.figure(view_of(*lossy(LENGTHS, batches=(1, 4))))) if axes.get_ylabel())
    assert len(axes.lines) == len(LOSSY) + 1


def test_where_target_and_source_differ_the_loss_along_one_of_them_is_the_token_error():
    """Phrases are as long as the shorter of the two, so the phoneme error would stay where it is."""
    lengths = tuple((256, target) for target in (32, 64, 128, 256))
    table, steps = lossy(lengths)
    errors = lossy(lengths, measure="token_error")[0]["token_error"]
    view = view_of(table.assign(token_error=errors), steps)
    (axes,) = panels_of(loss.figure(view))
    assert axes.get_ylabel() == "token error (%)"
    assert loss.figure(view_of(table, steps)) is None
    assert approximate.figure(view).axes[0].get_ylabel() == "phoneme error (%)"


def test_one_that_ends_earlier_is_compared_by_the_time_of_a_step():
    table, steps = lossy()
    mine = table["strategy"] == SLIDING
    table["reason"] = table["reason"].mask(mine, "decodes 40 steps freely, an exact strategy 52")
    table["tpot_s"] = table["strategy"].map({SLIDING: 1.5}).fillna(1.0)
    view = view_of(table, steps)
    assert message(view, costs(view)).endswith(f"{SLIDING} 62 % at 31 %, 1.5x slower per step")
    note = f"Ends after other steps, so its time is of other work: {SLIDING} after 40 instead of 52."
    assert note in approximate.figure(view).get_supxlabel()
    assert "other steps" not in approximate.figure(view_of(*lossy())).get_supxlabel()
