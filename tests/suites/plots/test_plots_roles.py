"""The figure of where FLOPs and bytes go: what it says, shows and names, and what it does without its table."""

import numpy as np
import pandas as pd
import pytest
from matplotlib import rc_context

from suites.plots import draw, memory, roles
from suites.plots.roles import GROUPS, OTHER, figure
from suites.plots.style import RC
from suites.plots.views import views
from suites.tables.role_table import ROLE_COLUMNS
from tests.suites.plots.test_plots import CORE, ODD, tables

ROLES = [role for group in GROUPS for role in group.roles]
AMOUNTS = {"ffn.wi": 20, "ffn.wo": 22, "cross.kv": 21}


def role_rows(table, more=()):
    """By hand: for each case 100 units of FLOPs and bytes a strategy's rank, 42 of them of the feed-forward."""
    rows = []
    for case in table[table["status"] == "ok"].to_dict("records"):
        rank = 41 if case["strategy"] == CORE[0] else 1
        for role in [*ROLES, *more]:
            amount = AMOUNTS.get(role, 37 / (len(ROLES) - len(AMOUNTS)))
            values = {"phase": "decode", "role": role, "flops": 1e6 * rank * amount, "bytes": 2.0**20 * amount}
            rows.append({name: case.get(name) for name in ROLE_COLUMNS} | values)
        rows.append({**rows[-1], "phase": "prefill", "role": "encoder.ffn.wi", "flops": 1e12, "bytes": np.nan})
    return pd.DataFrame(rows, columns=ROLE_COLUMNS)


def drawn(table, steps, **more):
    """(view, figure) of the only view."""
    (view,) = views(table, steps, {}, role_rows(table, **more))
    return view, figure(view)


def panels(shown):
    return [axes for axes in shown.axes if axes.axison]


def legend(shown):
    (found,) = (axes.get_legend() for axes in shown.axes if axes.get_legend())
    return found


def test_the_title_tells_the_numbers_of_the_longest_case_without_prefill():
    _, shown = drawn(*tables(((16, 16), (64, 64)), (1, 4)))
    assert shown.get_suptitle() == (
        "full_recompute computes 41x the FLOPs of cross_kv, 42 % of them on feed-forward, and moves 1.00x the bytes"
    )
    assert "Source 64, target 64 tokens, batch 4." in shown.get_supxlabel()
    _, alone = drawn(*tables(strategies=ODD[:1]))
    assert alone.get_suptitle() == f"{ODD[0]}: 42 % of FLOPs go to feed-forward, 42 % of bytes to feed-forward"


def test_shares_fill_each_bar_and_the_total_stands_at_its_end_with_its_unit():
    view, shown = drawn(*tables())
    flops, flops_share, moved, moved_share = panels(shown)
    assert (flops.get_title("left"), moved.get_title("left")) == ("FLOPs: amount", "bytes: amount")
    assert moved_share.get_xlabel() == "share of the strategy's own total (%)"
    for axes in (flops, moved):
        assert [text.get_text() for text in axes.get_yticklabels()] == view.strategies
        assert axes.get_xlim()[0] == 0
    longest = max(bar.get_x() + bar.get_width() for bar in flops.patches)
    assert longest == pytest.approx(4.1)  # GFLOPs
    for axes in (flops_share, moved_share):
        ends = [bar.get_x() + bar.get_width() for bar in axes.patches]
        assert max(ends) == pytest.approx(100, abs=1)
        assert "feed-forward 42 %" in [text.get_text() for text in axes.texts]
    assert [text.get_text() for text in flops.texts if "FLOPs" in text.get_text()] == [
        "4.10 GFLOPs, 41x", *["100 MFLOPs"] * 3,
    ]  # fmt: skip
    assert [text.get_text() for text in moved.texts if "MiB" in text.get_text()] == ["100 MiB"] * 4


def test_the_legend_names_every_group_and_looks_differ_in_colour_and_in_grey_by_hatch():
    _, shown = drawn(*tables())
    assert [text.get_text() for text in legend(shown).get_texts()] == [group.label for group in GROUPS]
    handles = legend(shown).get_patches()
    assert len({handle.get_facecolor() for handle in handles}) == len(GROUPS)
    assert [handle.get_hatch() or "" for handle in handles] == [group.hatch for group in GROUPS]
    hatched = [bool(group.hatch) for group in GROUPS]
    assert all(not (a and b) or g.hatch != h.hatch
               for a, b, g, h in zip(hatched, hatched[1:], GROUPS, GROUPS[1:], strict=False))  # fmt: skip


def test_a_role_of_another_model_is_drawn_as_other():
    _, shown = drawn(*tables(), more=["mixer.gate"])
    assert [text.get_text() for text in legend(shown).get_texts()][-1] == OTHER.label


def test_a_strategy_that_was_not_measured_has_an_empty_row_that_says_so():
    _, shown = drawn(*tables(lost=[("contiguous_kv", None, "invalid")]))
    names = [text.get_text() for text in panels(shown)[0].get_yticklabels()]
    assert names[-1] == "contiguous_kv: invalid"
    assert "not measured" in [text.get_text() for text in panels(shown)[0].texts]


@pytest.mark.parametrize("strategies", [CORE, (*CORE, *ODD), ODD[:1]], ids=["core", "others", "one"])
def test_nothing_is_drawn_over_the_edge_or_over_the_legend(strategies):
    _, shown = drawn(*tables(strategies=strategies))
    with rc_context(RC):
        shown.draw_without_rendering()
    left, bottom, right, top = shown.get_tightbbox().extents
    width, height = shown.get_size_inches()
    assert min(left, bottom) >= 0
    assert right <= width
    assert top <= height
    box = legend(shown).get_window_extent()
    assert not any(box.overlaps(axes.get_tightbbox()) for axes in panels(shown))
    for axes in panels(shown):
        inside = axes.get_window_extent()
        assert all(text.get_window_extent().x1 <= inside.x1 + 1 for text in axes.texts if text.get_text())


def test_a_run_without_the_table_has_all_other_figures(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.plots.FIGURES", (memory, roles))
    table, steps = tables()
    names = [path.stem for path in draw(tmp_path / "old", table, steps)]
    assert names == ["memory"]
    empty = pd.DataFrame(columns=ROLE_COLUMNS)
    assert [path.stem for path in draw(tmp_path / "older", table, steps, empty)] == names
    assert [path.stem for path in draw(tmp_path / "new", table, steps, role_rows(table))] == [*names, "roles"]
