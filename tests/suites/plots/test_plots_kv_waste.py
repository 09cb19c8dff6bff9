"""The figure of memory shows how much of the K/V that is reserved is used, and hides no line behind an equal one."""

from collections import defaultdict

import pytest
from matplotlib.colors import to_rgb

from suites.plots import memory
from suites.plots.views import views

from .test_plots import CORE, MACHINE, TIED, tables

LARGE = "static_kv(capacity=512)"


def view_of(lengths=TIED, waste=4.0):
    """A sweep in which one strategy reserves ``waste`` times the K/V that it uses, and others all that they use."""
    table, steps = tables(lengths, strategies=(*CORE, LARGE))
    is_large = table["strategy"] == LARGE
    reserved = table["kv_used_bytes"].where(~is_large, waste * table["kv_used_bytes"])
    (view,) = views(table.assign(kv_reserved_bytes=reserved), steps, MACHINE)
    return view


def axes_of(figure):
    (axes,) = (axes for axes in figure.axes if axes.axison)
    return axes


def inked(line):
    """Whether a dashed line has ink, at points along it, a tenth of its width from one another."""
    offset, (dash, gap) = line._dash_pattern  # in points; there is no public way to it
    tenth = line.get_linewidth() / 10
    return [((point + 0.5) * tenth + offset) % (dash + gap) < dash for point in range(600)]


def test_equal_lines_take_turns_so_that_each_is_seen():
    shown = axes_of(memory.figure(view_of()))
    segments = defaultdict(list)
    for line in shown.lines:
        if line.get_linewidth() == memory.LINES["kv_reserved_bytes"]["linewidth"] and len(line.get_xdata()) == 2:
            segments[tuple(line.get_xdata()), tuple(line.get_ydata())].append(line)
    equal = [lines for lines in segments.values() if len(lines) > 1]
    assert len(equal) == len(TIED) - 1
    view = view_of()
    for lines in equal:
        assert {line.get_color() for line in lines} == {view.looks[name].color for name in CORE[2:]}
        drawn = [inked(line) for line in lines]
        assert all(sum(points) == 1 for points in zip(*drawn, strict=True)), "each point has the ink of one line"


def test_what_is_reserved_and_not_used_is_shaded_in_the_colour_of_its_strategy():
    view = view_of()
    (shade,) = axes_of(memory.figure(view)).collections
    assert shade.get_facecolor()[0][:3] == pytest.approx(to_rgb(view.looks[LARGE].color))
    heights = {y for _, y in shade.get_paths()[0].vertices}
    mine = view.table[view.table["strategy"] == LARGE]
    for column in ("kv_used_bytes", "kv_reserved_bytes"):
        assert {*(mine[column] / 2**20)} <= heights
    assert not axes_of(memory.figure(view_of(waste=1.0))).collections


def test_the_waste_of_the_largest_case_is_told_in_numbers():
    told = memory.figure(view_of()).get_supxlabel().replace("\n", " ")
    assert f"K/V reserved over used at 128 tokens: {LARGE} 4x; of the others 1x." in told
    assert "over used" not in memory.figure(view_of(waste=1.0)).get_supxlabel()


def test_the_bars_of_one_case_tell_it_beside_them():
    texts = [text.get_text() for text in axes_of(memory.figure(view_of(TIED[:1]))).texts]
    wasted = [text for text in texts if "in use" in text]
    assert len(wasted) == 1
    assert "K/V 0.122, 4x the 0.0305 in use" in wasted[0]
