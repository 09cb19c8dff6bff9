"""Figures from hand-made tables: what each says, names and marks, whatever the table lacks."""

import itertools
import xml.etree.ElementTree as ET
from functools import cache

import numpy as np
import pandas as pd
import pytest
from matplotlib import colors, rc_context
from matplotlib.colors import to_hex
from matplotlib.text import Text

from suites.metrics import metrics
from suites.plots import FIGURES, draw
from suites.plots.ends import darker
from suites.plots.looks import PARTS, STEP_PARTS, looks
from suites.plots.style import RC, break_lines, new_figure, save
from suites.plots.views import views
from suites.tables.columns import IDENTITY, RATIOS
from suites.tables.step_table import STEP_COLUMNS
from suites.tables.table_files import PLOTTED

CORE = ("full_recompute", "cross_kv", "contiguous_kv", "static_kv")
ODD = ("static_kv(capacity=512,read=buffer)", "cost_$x^2$_{", "<script>alert('$')</script>", "_under_score")
MODULES = {module.__name__.rpartition(".")[2]: module for module in FIGURES}


def row(strategy, src_len, tgt_len, batch, device, beams=0):
    """A measured case whose figures grow as a strategy's would: the first two with the square of the length."""
    cached = strategy not in CORE[:2]
    keeps = strategy != "full_recompute"
    rows = batch * max(beams, 1)
    steps_s = 1e-3 * (1 + 0.02 * rows) * np.linspace(1, 1.2 if cached else 1 + tgt_len / 20, tgt_len)
    prefill_s = 1e-4 * src_len
    e2e_s = prefill_s + steps_s.sum()
    necessary = 1e6 * rows * (src_len + tgt_len)
    kv_bytes = 1000 * rows * (src_len + tgt_len * cached) * keeps
    case = dict.fromkeys([*IDENTITY, *metrics(), *RATIOS], 1.0) | {
        "cell": f"m_{device}_{src_len}_{tgt_len}_{batch}_{beams}", "model": "m", "device": device, "dtype": "fp32",
        "weights": "fp32", "linear": "torch", "attention": "auto", "tf32": "false", "threads": 1, "batch_size": batch,
        "search": "beam" if beams else "greedy", "num_beams": max(beams, 1),
        "first_sentence": 0,
        "src_len": src_len, "tgt_len": tgt_len,
        "stop": "fixed", "seed": 0, "node": "", "cpu": "", "gpu": "",
        "strategy": strategy, "execution": "eager", "status": "ok",
        "reason": "", "rounds": 8, "tokens_equal": "yes", "baseline": CORE[0],
        "prefill_s": prefill_s, "e2e_s": e2e_s, "throughput_tokens_per_s": batch * tgt_len / e2e_s,
        "necessary_flops": necessary, "flops_waste": 1.0 if cached else tgt_len / 3,
        "executed_flops": necessary * (1.0 if cached else tgt_len / 3), "step_bytes": 1e6 + kv_bytes,
        "kv_used_bytes": kv_bytes, "kv_reserved_bytes": kv_bytes, "peak_memory_bytes": kv_bytes + 5e4 * rows,
        "e2e_ratio": 1.0 if strategy == CORE[0] else 0.37, "e2e_ratio_low": 0.3, "e2e_ratio_high": 0.4,
        "e2e_verdict": "baseline" if strategy == CORE[0] else "faster", "e2e_beyond": 0.02,
    }  # fmt: skip
    steps = pd.DataFrame({"k": range(1, tgt_len + 1), "latency_s": steps_s})
    steps["flops"] = 1e6 * rows * (steps["k"] ** 0.01 if cached else steps["k"])
    steps["latency_q25_s"], steps["latency_q75_s"] = 0.95 * steps_s, 1.05 * steps_s
    for column in STEP_COLUMNS:
        if column not in steps:
            steps[column] = case.get(column, 1.0)
    return case, steps


def tables(lengths=((64, 64),), batches=(1,), strategies=CORE, devices=("cpu",), lost=(), beams=(0,)):
    """(table, steps); ``lost``: (strategy, target length or None for all, status) of cases without figures.

    ``beams``: numbers of beams, 0 for greedy search.
    """
    cases, frames = [], []
    sizes = itertools.product(devices, batches, beams, lengths, strategies)
    for device, batch, width, (src_len, tgt_len), strategy in sizes:
        case, steps = row(strategy, src_len, tgt_len, batch, device, width)
        status = [s for name, length, s in lost if name == strategy and length in (None, tgt_len)]
        if status:
            case |= dict.fromkeys([*metrics(), *RATIOS[1:]], np.nan) | {
                "status": status[0],
                "reason": "why",
                "rounds": 0,
            }
        else:
            frames.append(steps)
        cases.append(case)
    steps = pd.concat(frames, ignore_index=True) if frames else pd.DataFrame(columns=STEP_COLUMNS)
    return pd.DataFrame(cases), steps[STEP_COLUMNS]


TIED = tuple((n, n) for n in (16, 32, 64, 128))
SCENES = {
    "single": tables(),
    "source": tables(((16, 32), (64, 32))),
    "batch": tables(batches=(1, 4, 16)),
    "grid": tables(TIED[:3], (1, 4, 16)),
    "beams": tables(beams=(1, 2, 4, 8)),
    "batches and beams": tables(batches=(1, 8), beams=(1, 4)),
    "some failed": tables(TIED, lost=[("contiguous_kv", None, "invalid"), ("cross_kv", 128, "failed")]),
    "single, one failed": tables(lost=[("contiguous_kv", None, "invalid")]),
    "others": tables(TIED[:2], strategies=(*CORE, *ODD)),
    "others, single": tables(strategies=(*CORE, *ODD)),
    "one alone": tables(strategies=ODD[:1]),
    "one step": tables(((16, 1),)),
}
MACHINE = {"cpu": "A CPU with a name as long as such names are, at 2.70GHz"}


AT_ENDS = ("totals", "step_latency", "flops", "memory")
"""Figures that write names at the ends of curves."""


@cache
def figures(scene):
    """(view, name, figure) of each that has something to draw."""
    found = [(view, name, MODULES[name].figure(view)) for view in views(*SCENES[scene], MACHINE) for name in MODULES]
    return [entry for entry in found if entry[2] is not None]


def figure_of(scene, name):
    """The one figure of that name."""
    (drawn,) = (drawn for _, other, drawn in figures(scene) if other == name)
    return drawn


def words(drawn):
    """Every text that names something: in legends, at bars, and at the ends of curves."""
    legends = [text.get_text() for axes in drawn.axes if axes.get_legend() for text in axes.get_legend().get_texts()]
    ticks = [text.get_text() for axes in drawn.axes for text in axes.get_yticklabels()]
    ends = [text.get_text() for axes in drawn.axes for text in axes.texts]
    return [text.replace("\n", "") for text in (*legends, *ticks, *ends)]


@pytest.mark.parametrize("scene", SCENES)
def test_each_figure_has_a_message_units_and_the_name_of_every_strategy(scene):
    for view, name, drawn in figures(scene):
        message = drawn.get_suptitle()
        assert any(strategy in message for strategy in view.strategies), message
        assert not {"nan", "inf"} & set(message.replace("x", " ").split()), message
        shown = words(drawn)
        for strategy in [*view.strategies, *view.broken]:
            told = any(text.startswith(strategy) for text in shown) or strategy in drawn.get_supxlabel()
            assert told, (name, strategy)
        bottom = [axes.get_xlabel() for axes in drawn.axes if axes.axison]
        left = [axes.get_ylabel() for axes in drawn.axes if axes.axison]
        assert any(bottom)
        assert any(left) or name in ("totals", "memory")  # bars are named, not numbered
        for label in filter(None, bottom + left):
            assert "(" in label or label.endswith(", k"), label


@pytest.mark.parametrize(
    ("scene", "name"),
    [
        ("grid", "totals"),
        ("some failed", "flops"),
        ("others", "step_latency"),
        ("others, single", "totals"),
        ("single, one failed", "memory"),
    ],
)
def test_nothing_is_drawn_over_the_edge_or_over_the_legend(scene, name):
    drawn = figure_of(scene, name)
    with rc_context(RC):
        drawn.draw_without_rendering()
    left, bottom, right, top = drawn.get_tightbbox().extents  # inches
    width, height = drawn.get_size_inches()
    assert min(left, bottom) >= 0
    assert right <= width
    assert top <= height
    legends = [axes.get_legend().get_window_extent() for axes in drawn.axes if axes.get_legend()]
    plots = [axes.get_tightbbox() for axes in drawn.axes if axes.axison]
    assert not any(legend.overlaps(plot) for legend in legends for plot in plots)


@pytest.mark.parametrize("scene", ["grid", "others"])
def test_names_at_the_ends_of_curves_overlap_neither_one_another_nor_the_axes(scene):
    for _, _, drawn in (entry for entry in figures(scene) if entry[1] in AT_ENDS):
        with rc_context(RC):
            drawn.draw_without_rendering()
        for axes in (axes for axes in drawn.axes if axes.axison and axes.get_xlabel() != "memory (MiB)"):
            frame = axes.get_window_extent()
            names = [text for text in axes.texts if any(text.get_text().startswith(s.partition("(")[0]) for s in CORE)]
            texts = [Text.get_window_extent(text).expanded(1.0, 0.9) for text in names]
            assert all(box.x0 >= frame.x1 for box in texts)
            assert not any(a.overlaps(b) for a, b in itertools.combinations(texts, 2))


def test_a_strategy_has_one_colour_marker_and_dash_on_every_figure_of_a_run():
    wanted = looks(SCENES["others"][0]["strategy"])
    assert len({(look.color, look.marker, str(look.linestyle)) for look in wanted.values()}) == len(wanted)
    for _, _, drawn in figures("others"):
        legends = [axes.get_legend() for axes in drawn.axes if axes.get_legend()]
        named = {
            text.get_text(): to_hex(line.get_color())
            for legend in legends
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        named |= {text.get_text().replace("\n", ""): text.get_color() for axes in drawn.axes for text in axes.texts}
        lines = [line for axes in drawn.axes if axes.axison for line in axes.get_lines()]
        for strategy, look in wanted.items():
            assert named[strategy] in (to_hex(look.color), darker(look.color))
            curves = [line for line in lines if line.get_color() == look.color]
            assert look.marker in {line.get_marker() for line in curves}
            assert {line.get_marker() for line in curves} <= {look.marker, "", "None"}


def test_strategies_and_parts_of_work_share_no_colour():
    found = {look.color for look in looks([*CORE, *map(str, range(10))]).values()}
    assert len(found) == 9
    assert not found & {*PARTS.values(), *STEP_PARTS.values()}
    assert set(STEP_PARTS.values()) <= set(PARTS.values())
    lab = {color: as_seen(color) for color in (*found, *PARTS.values())}
    for part, other in itertools.product(PARTS.values(), lab):
        assert part == other or min(np.linalg.norm(lab[part] - lab[other], axis=1)) > 15, (part, other)


def as_seen(color):
    """CIE Lab of a colour as people see it who see red and green, no red, or no green (Machado 2009)."""
    seen_KCC = [
        np.eye(3),
        [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
    ]
    xyz_CC = [[0.4124564, 0.3575761, 0.1804375], [0.2126729, 0.7151522, 0.072175], [0.0193339, 0.119192, 0.9503041]]
    part_C = np.array(colors.to_rgb(color))
    linear_C = np.where(part_C <= 0.04045, part_C / 12.92, ((part_C + 0.055) / 1.055) ** 2.4)
    xyz_KC = np.clip(np.array(seen_KCC) @ linear_C, 0, 1) @ np.array(xyz_CC).T / [0.95047, 1, 1.08883]
    root_KC = np.where(xyz_KC > 216 / 24389, np.cbrt(xyz_KC), (24389 / 27 * xyz_KC + 16) / 116)
    x, y, z = root_KC.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def test_bars_have_the_colours_of_the_curves():
    wanted = looks(SCENES["single"][0]["strategy"])
    axes = next(axes for axes in figure_of("single", "totals").axes if axes.axison)
    bars = {text.get_text(): bar for text, bar in zip(axes.get_yticklabels(), axes.containers[0], strict=True)}
    shown = {strategy: colors.to_hex(bar.get_facecolor()).upper() for strategy, bar in bars.items()}
    assert shown == {strategy: look.color for strategy, look in wanted.items()}


def test_bars_of_ten_seconds_and_more_are_in_seconds():
    table, steps = SCENES["single"]
    for longest_s, unit, right in ((9.0, "ms", 17100), (11.0, "s", 20.9)):
        (view,) = views(table.assign(e2e_s=table["e2e_s"] * longest_s / table["e2e_s"].max()), steps, {})
        axes = next(axes for axes in MODULES["totals"].figure(view).axes if axes.axison)
        assert axes.get_xlabel() == f"end to end ({unit})"
        assert axes.get_xlim() == pytest.approx((0, right))
        assert max(bar.get_width() for bar in axes.containers[0]) == pytest.approx(right / 1.9)


def test_a_line_of_a_title_does_not_begin_with_the_unit_of_a_number():
    for words in range(60):
        drawn, _ = new_figure("a " * words + "12 ms 3 %", "")
        break_lines(drawn)
        assert "12 ms" in drawn.get_suptitle(), drawn.get_suptitle()


def test_messages_tell_the_last_point_of_the_axis():
    messages = {name: drawn.get_suptitle() for _, name, drawn in figures("grid")}
    assert messages["totals"].startswith("At 64 tokens, batch 16, static_kv is 2.7x faster than full_recompute ")
    assert messages["flops"].startswith("At 64 tokens, batch 16, full_recompute computes 21x what is necessary, ")
    assert messages["step_latency"] == (
        "At batch 16, a step of full_recompute grows from 1.6 to 5.3 ms, one of contiguous_kv grows from 1.3 to 1.6 ms"
    )
    assert messages["memory"] == "Peak memory at 64 tokens, batch 16: static_kv needs 3.6x that of full_recompute"


def test_a_grid_shows_the_first_a_middle_and_the_last_batch_on_one_scale():
    shown = [axes for axes in figure_of("grid", "totals").axes if axes.axison]
    assert [axes.get_title(loc="left") for axes in shown[:3]] == ["batch 1", "batch 4", "batch 16"]
    assert len(shown) == 6
    assert len({axes.get_ylim() for axes in shown[:3]}) == len({axes.get_ylim() for axes in shown[3:]}) == 1


def test_growth_is_told_in_factors():
    foot = figure_of("some failed", "flops").get_supxlabel()
    assert "With 8x the length FLOPs grow: full_recompute 64x, " in foot
    assert "static_kv 8x" in foot
    assert not any("^" in text for _, _, drawn in figures("grid") for text in words(drawn))


def test_whiskers_end_where_the_intervals_of_the_speedups_do():
    table, steps = tables(TIED[:2])
    table["e2e_ratio_low"], table["e2e_ratio_high"] = 0.8 * table["e2e_ratio"], 1.25 * table["e2e_ratio"]
    (view,) = views(table, steps, {})
    axes = [axes for axes in MODULES["totals"].figure(view).axes if axes.axison][1]
    assert axes.get_ylabel() == "speedup (ratio)"
    found = {tuple(np.round(path[:, 1], 6)) for lines in axes.collections for path in lines.get_segments()}
    assert found == {(0.8, 1.25), tuple(np.round([0.8 / 0.37, 1.25 / 0.37], 6))}


@pytest.mark.parametrize("lengths", [TIED[:1], TIED[:2]], ids=["single", "lengths"])
def test_what_disturbed_a_cell_is_told_and_its_marks_are_hollow(lengths):
    table, steps = tables(lengths)
    table["disturbed_by"] = ["other load"] * len(CORE) + [""] * (len(table) - len(CORE))
    (view,) = views(table, steps, {})
    drawn = MODULES["totals"].figure(view)
    assert "other load" in drawn.get_supxlabel()
    if len(lengths) > 1:
        for axes in (axes for axes in drawn.axes if axes.axison):
            hollow = [line for line in axes.get_lines() if line.get_markerfacecolor() == "white"]
            assert len(hollow) == len(CORE)
            assert {tuple(line.get_xdata()) for line in hollow} == {(16,)}


def test_bars_of_a_step_add_up_to_it_and_the_floor_stands_at_its_time():
    table, steps = tables()
    table["floor_s"], table["floor_fraction"], table["dispatch_s"] = 1e-3, 0.25, 1e-3
    table["mbu"], table["mfu"], table["cache_resident"] = 0.25, 0.1, 0.0
    (view,) = views(table, steps, {})
    _, axes = [axes for axes in MODULES["totals"].figure(view).axes if axes.axison]
    assert [bar.get_width() for bar in axes.patches][:3] == pytest.approx([1.0, 1.0, 2.0])  # bytes, dispatch, kernels
    assert {line.get_xdata()[0] for line in axes.get_lines()} == {1.0}
    assert axes.get_xlim()[0] == 0


@pytest.mark.parametrize("scale", [(1, 4), (1, 1.5)], ids=["a law", "no law"])
def test_growth_is_on_a_logarithmic_axis_and_what_hardly_changes_starts_at_zero(scale):
    table, steps = tables(TIED[:2], strategies=CORE[:1])
    table["e2e_s"] = scale
    (view,) = views(table, steps, {})
    axes = next(axes for axes in MODULES["totals"].figure(view).axes if axes.axison)
    assert (axes.get_yscale(), axes.get_ylim()[0] > 0) == (("log", True) if scale[1] == 4 else ("linear", False))


@pytest.mark.parametrize("lengths", [TIED[:1], TIED[:2]], ids=["single", "lengths"])
@pytest.mark.parametrize(
    ("column", "strategies"),
    [("peak_memory_bytes", CORE), ("peak_memory_bytes", CORE[:1]), ("e2e_s", CORE), ("e2e_ratio", CORE)],
)
def test_a_figure_that_was_not_measured_breaks_nothing(lengths, column, strategies):
    table, steps = tables(lengths)
    table.loc[table["strategy"].isin(strategies), column] = np.nan
    (view,) = views(table, steps, {})
    drawn = MODULES["memory" if column == "peak_memory_bytes" else "totals"].figure(view)
    assert "nan" not in drawn.get_suptitle()
    assert not any("nan" in text.get_text() for axes in drawn.axes for text in axes.texts)


def test_devices_are_drawn_apart_and_a_case_keeps_the_steps_of_its_own_threads():
    cpu, cuda = views(*tables(devices=("cpu", "cuda")), {"cpu": "My CPU", "cuda": "My GPU"})
    assert [(view.suffix, view.foot) for view in (cpu, cuda)] == [
        ("_cpu", "m, fp32, on My CPU, 1 thread."),
        ("_cuda", "m, fp32, on My GPU."),
    ]
    assert len(cpu.steps) == len(cuda.steps) == len(tables()[1])
    (one, some), (two, more) = tables(), tables()
    two["threads"], two["cell"], more["cell"] = 2, "other", "other"
    for view in views(pd.concat([one, two]), pd.concat([some, more]), {}):
        assert len(view.steps) == len(some)
    assert view.suffix == "_2threads"


def test_equal_tables_give_equal_files_that_hold_labels_as_text(tmp_path, monkeypatch):
    monkeypatch.setattr("suites.plots.FIGURES", (MODULES["flops"], MODULES["memory"]))
    scene = tables(TIED[:2], strategies=(CORE[0], *ODD))
    written = draw(tmp_path, *scene)
    assert written == [tmp_path / "plots" / f"{name}.png" for name in ("flops", "memory")]
    for path in written:
        root = ET.parse(path.with_suffix(".svg")).getroot()
        assert not [e for e in root.iter() if e.tag.endswith("script")]
        text = "".join("".join(root.itertext()).split())
        assert all("".join(label.split()) in text for label in ODD)
    (view,) = views(*scene, {"cpu": "cpu"})
    for again in save(MODULES["flops"].figure(view), tmp_path / "again", "flops"):
        assert again.read_bytes() == (tmp_path / "plots" / again.name).read_bytes()


def test_a_table_without_a_measured_case_has_no_figures(tmp_path):
    table, steps = SCENES["single"]
    assert draw(tmp_path, table.assign(status="failed"), steps[:0]) == []


def test_every_figure_is_drawn_of_a_table_that_lacks_what_later_versions_added():
    """As the first tables were: no verdict, best strategy, floor or disturbance."""
    needed = {*IDENTITY, *PLOTTED, *RATIOS, "tpot_s"} - {"e2e_vs_best"}
    for lengths, batches in ((TIED[:1], (1,)), (TIED[:2], (1, 4))):
        table, steps = tables(lengths, batches)
        (view,) = views(table[[name for name in table if name in needed]], steps, {})
        drawn = {name: MODULES[name].figure(view) for name in MODULES}
        assert {name for name, figure in drawn.items() if figure} == {
            "totals", "step_latency", "tradeoff", "flops", "memory",
        }  # fmt: skip
        assert "over full_recompute is 2.7x [2.5, 3.3]" in drawn["totals"].get_suptitle()
