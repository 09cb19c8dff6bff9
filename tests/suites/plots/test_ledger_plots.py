"""Pictures of a ledger: what they show is what the ledger says."""

import re

import pytest
import torch
from matplotlib import rc_context
from matplotlib.colors import to_hex

from strategies import parse
from strategies.models.costs import StepShape
from strategies.models.traffic import ElementBytes, step_bytes
from suites.ledger.table import make_ledger
from suites.plots.ledger import dimensions, flops, layer, stacks, traffic
from suites.plots.ledger.canvas import LOOKS
from suites.plots.ledger.flow import ROLES, read_layer
from suites.plots.style import RC, WIDTH_IN
from suites.settings.inputs import Inputs

LABELS = (
    "full_recompute",
    "cross_kv",
    "contiguous_kv",
    "static_kv(cross=recompute)",
    "static_kv",
    "static_kv(read=buffer)",
)
BATCH, SOURCE, TARGET, STEPS = 2, 7, 6, (1, 2, 3, 5)


def inputs(src_len):
    """Unpadded sources."""
    return Inputs(torch.ones(BATCH, src_len, dtype=torch.long), None, (src_len,) * BATCH)


@pytest.fixture(scope="module", params=["t5", "transformer2017"])
def model(request, tiny_model):
    """Tiny, gated and not."""
    return tiny_model(request.param)


@pytest.fixture(scope="module")
def ledger(model):
    """Two source lengths, as the command records them."""
    chosen = [parse(label) for label in LABELS]
    return make_ledger(model, chosen, [(inputs(SOURCE), STEPS), (inputs(3), (1, 2))], TARGET)


@pytest.fixture(scope="module")
def drawings(ledger):
    """(layer, its figure) of training and every strategy."""
    found = [read_layer(ledger, label, 5, SOURCE) for label in ("training", *LABELS)]
    return [(shown, layer.figure(shown)) for shown in found]


@pytest.fixture(scope="module")
def curves(ledger):
    """The figures against k, with their captions."""
    mine = ledger[ledger["src_len"] == SOURCE]
    return [module.draw(mine, SOURCE) for module in (dimensions, flops, traffic)]


def by_gid(figure, kind):
    """gid -> artist of the diagram's patches or texts."""
    return {a.get_gid(): a for a in getattr(figure.axes[0], kind) if a.get_gid()}


def test_a_diagram_shows_the_recorded_shape_of_every_product_and_edge(ledger, drawings):
    for shown, figure in drawings:
        texts = [text.get_text() for text in figure.axes[0].texts]
        rows = ledger[
            (ledger["strategy"] == shown.strategy) & (ledger["src_len"] == SOURCE) & ledger["role"].isin(ROLES)
        ]
        rows = rows[rows["k"].isna() | (rows["k"] == 5)]
        assert set(rows["role"]) == set(ROLES)
        for row in rows.to_dict("records"):
            assert {row["role"], row["shape"], row["shape_numbers"]} <= set(texts)
        shapes = [text for text in texts if re.search(r"\[[^\]]*\]$", text) and " x " not in text]
        for operation in shown.operations.values():
            for tensor in (operation.left, operation.result):
                if operation.role not in ("self.qkv", "cross.q", "cross.kv") or tensor is operation.left:
                    assert any(text.endswith(tensor.in_letters) for text in shapes)
                    assert tensor.in_numbers in shapes


def test_a_diagram_marks_exactly_what_the_ledger_says_grows(ledger, drawings):
    for shown, figure in drawings:
        rows = ledger[(ledger["strategy"] == shown.strategy) & ledger["role"].isin(ROLES)]
        wanted = set(rows.loc[rows["grows_with"].str.contains("k|N"), "role"])
        boxes, badges = by_gid(figure, "patches"), by_gid(figure, "texts")
        marked = {role for role in ROLES if to_hex(boxes[role].get_edgecolor()).upper() == LOOKS["grows"].color}
        badged = {
            name.removeprefix("badge ") for name, text in badges.items() if text.get_text().startswith("grows with")
        }
        assert marked == badged == wanted
        assert all(boxes[role].get_linewidth() == LOOKS["grows"].width for role in wanted)
        once = {role for role in ROLES if boxes[role].get_linestyle() != "solid" and boxes[role].get_linestyle() != "-"}
        assert once == set(rows.loc[rows["phase"] == "prefill", "role"])


def test_the_message_of_a_diagram_counts_what_grows(drawings):
    said = {shown.strategy: figure.get_suptitle() for shown, figure in drawings}
    assert said["static_kv"] == "static_kv, step k = 5: 2 of 11 products grow, both read the K, V of earlier tokens"
    assert (
        said["contiguous_kv"] == said["static_kv"].replace("static", "contiguous") + ", which are moved at every step"
    )
    assert said["full_recompute"] == "full_recompute, step k = 5: 10 of 12 products grow, 2 of them with k²"
    assert said["static_kv(read=buffer)"].endswith(
        "none of 11 products grows; self-attention reads a whole buffer of C = 6 rows"
    )
    assert said["training"] == "training, all N = 6 rows at once: 11 of 12 products grow with N, 2 of them with N²"


def test_what_is_kept_and_moved_is_read_from_the_ledger(drawings):
    kept = {shown.strategy: (shown.remembers, shown.moved) for shown, _ in drawings}
    assert kept == {
        "training": (False, ""),
        "full_recompute": (False, ""),
        "cross_kv": (False, ""),
        "contiguous_kv": (True, "k-1"),
        "static_kv(cross=recompute)": (True, ""),
        "static_kv": (True, ""),
        "static_kv(read=buffer)": (True, ""),
    }


@pytest.mark.parametrize("label", ["full_recompute", "contiguous_kv"])
@pytest.mark.parametrize("times", [1, 997])
def test_nothing_on_a_diagram_leaves_the_page_or_covers_other_words(ledger, label, times):
    numbers = ledger["shape_numbers"].str.replace(r"\b\d+\b", lambda match: str(times * int(match[0])), regex=True)
    figure = layer.figure(read_layer(ledger.assign(shape_numbers=numbers), label, 5, SOURCE))
    with rc_context(RC):
        figure.draw_without_rendering()
    left, bottom, right, top = figure.get_tightbbox().extents  # inches
    assert min(left, bottom) >= -0.03  # half a line's width where the first edge enters
    assert right <= WIDTH_IN
    assert top <= figure.get_size_inches()[1]
    drawn = [(text.get_text(), text.get_window_extent()) for text in figure.axes[0].texts]
    for place, (text, box) in enumerate(drawn):
        for other, area in drawn[place + 1 :]:
            width = min(box.x1, area.x1) - max(box.x0, area.x0)
            height = min(box.y1, area.y1) - max(box.y0, area.y0)
            assert min(width, height) < 4, (text, other)  # pixels; the boxes of texts have margins


def test_every_figure_has_title_labels_units_and_legend(drawings, curves):
    for figure, caption in curves:
        assert figure.get_suptitle()
        assert len(caption.split(". ")) in range(2, 6)
        drawn = [axes for axes in figure.axes if axes.axison]
        assert any(axes.get_xlabel() == "keys attended at the step, k" for axes in drawn)
        assert any("(" in axes.get_ylabel() for axes in drawn)
        assert all(axes.get_title(loc="left") for axes in drawn)
        (legend,) = (axes.get_legend() for axes in figure.axes if axes.get_legend())
        assert len(legend.get_texts()) > 2
        named = "\n".join(axes.get_title(loc="left") for axes in drawn).split("\n")
        assert sorted(named) == sorted(LABELS)
    for shown, figure in drawings:
        assert figure.legends[0].get_texts()
        assert layer.caption(shown).count(". ") >= 3


def test_stacked_flops_and_bytes_are_those_of_the_whole_step(ledger, model):
    mine = ledger[ledger["src_len"] == SOURCE]
    steps = mine[mine["phase"] == "step"]
    computed = stacks.panels(ledger, SOURCE, ledger["flops"])
    moved = stacks.panels(ledger, SOURCE, traffic.moved_bytes(ledger))
    for label in LABELS:
        bound = parse(label).bind(TARGET)
        (work,), (bytes_,) = ([p for p in found if label in p.strategies] for found in (computed, moved))
        for k in STEPS:
            at = steps[(steps["strategy"] == label) & (steps["k"] == k)]
            assert work.total[k] == (at["flops"] * at["count"]).sum()
            rows, keys, copied = bound.rows_fed(k), bound.keys_read(k), bound.rows_copied(k)
            shape = StepShape(BATCH, SOURCE, rows, keys, copied, bound.cross != "cached")
            assert bytes_.total[k] == step_bytes(model.config, shape, ElementBytes(4)).total


def test_the_areas_of_a_panel_reach_its_total(ledger, curves):
    found = stacks.panels(ledger, SOURCE, ledger["flops"])
    figure, _ = curves[1]
    for axes in (axes for axes in figure.axes if axes.axison):
        (panel,) = (p for p in found if p.strategies == tuple(axes.get_title(loc="left").split("\n")))
        tops = [path.vertices[:, 1].max() for area in axes.collections for path in area.get_paths()]
        unit = {"G": 1e9, "M": 1e6, "k": 1e3}[re.search(r"([GMk])FLOPs", figure.axes[1].get_ylabel())[1]]
        assert max(tops) == pytest.approx(panel.total.max() / unit)
        assert len(axes.collections) == len(panel.columns)


def test_strategies_of_equal_numbers_share_a_panel(ledger):
    assert ("contiguous_kv", "static_kv") in [p.strategies for p in dimensions.panels(ledger, SOURCE)]
    assert ("contiguous_kv", "static_kv") in [p.strategies for p in stacks.panels(ledger, SOURCE, ledger["flops"])]
    moved = [p.strategies for p in stacks.panels(ledger, SOURCE, traffic.moved_bytes(ledger))]
    assert ("static_kv",) in moved
    assert ("contiguous_kv",) in moved


def test_the_sizes_drawn_are_those_of_the_ledger(ledger):
    sizes = {p.strategies[-1]: p.values for p in dimensions.panels(ledger, SOURCE)}
    assert sizes["static_kv"].to_dict("list") == {
        "rows 1": [1] * 4, "keys k": list(STEPS), "source S": [SOURCE] * 4, "lm_head 1": [1] * 4,
    }  # fmt: skip
    assert sizes["full_recompute"].to_dict("list") == {
        "rows k": list(STEPS), "keys k": list(STEPS), "source S": [SOURCE] * 4, "cross.kv S": [SOURCE] * 4,
        "lm_head 1": [1] * 4,
    }  # fmt: skip
    assert sizes["static_kv(read=buffer)"]["keys C"].to_list() == [TARGET] * 4
    assert dimensions.message(dimensions.panels(ledger, SOURCE)) == (
        "k = 1 to 5, 6 strategies: rows and keys grow in 2, keys alone in 3, neither in 1"
    )


@pytest.mark.parametrize("kv_heads", [1, 2])
def test_a_diagram_shows_the_heads_that_k_and_v_have(tiny_model, kv_heads):
    model = tiny_model("t5", num_heads=4, num_kv_heads=kv_heads)
    labels = ("full_recompute", "contiguous_kv", "static_kv")
    shared = make_ledger(model, [parse(label) for label in labels], [(inputs(SOURCE), STEPS)], TARGET)
    for label in labels:
        shown = read_layer(shared, label, 5, SOURCE)
        assert (shown.sizes["H"], shown.sizes["G"], shown.sizes["B"]) == (4, kv_heads, BATCH)
        assert (shown.keys.letters[0], shown.keys.numbers[0]) == ("BG", BATCH * kv_heads)
        assert shown.new.numbers == (BATCH * kv_heads, 5 if label == "full_recompute" else 1, model.config.d_kv)
        assert layer.figure(shown).axes
